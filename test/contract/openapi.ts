/**
 * Holds answers against the OpenAPI document: is the path there, the method, the status, the media type, and is the body what
 * the document says?
 *
 * Idea. A foreign validator (ajv) reads the document as any client's tool would; nothing of the API's own code is asked.
 *
 * @module
 */
import Ajv from "ajv/dist/2020";

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

interface Content {
  readonly schema: { readonly $ref?: string };
}
interface OperationObject {
  readonly operationId: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Content>> }>>;
}
export interface OpenApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

export class AnswerChecker {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });

  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.#ajv.addSchema({ $id: "document", components: document.components });
  }

  /** What is wrong with an answer; null: nothing. Refusals of what is not in the document at all are checked as errors. */
  problem(method: string, pathname: string, answer: Answer): string | null {
    const operation = this.#operation(method, pathname);
    if (operation === undefined) {
      if (answer.status === 404 || answer.status === 405 || answer.status === 400) {
        return this.#bodyProblem("#/components/schemas/Error", answer.text);
      }
      return `${method} ${pathname} is not in the document, and is answered with ${answer.status}`;
    }
    const response = operation.responses[String(answer.status)];
    if (response === undefined) return `${operation.operationId} says nothing of status ${answer.status}`;
    const mediaType = (answer.contentType.split(";", 1)[0] ?? "").trim();
    if (response.content === undefined)
      return answer.text === "" ? null : `a body where none should be: ${answer.text}`;
    const content = response.content[mediaType];
    if (content === undefined) return `${operation.operationId} says nothing of "${mediaType}" for ${answer.status}`;
    if (content.schema.$ref === undefined) return null;
    const parts = mediaType === "application/x-ndjson" ? answer.text.split("\n").filter(Boolean) : [answer.text];
    const problems = parts.map((part) => this.#bodyProblem(content.schema.$ref ?? "", part));
    return problems.find((problem) => problem !== null) ?? null;
  }

  /** Whether a request's body is one that the document allows. */
  takes(method: string, pathname: string, body: unknown): boolean {
    const schema = this.#operation(method, pathname)?.requestBody?.content["application/json"]?.schema.$ref;
    if (schema === undefined) throw new Error(`${method} ${pathname} takes no body`);
    return this.#validator(schema)(body) === true;
  }

  #operation(method: string, pathname: string): OperationObject | undefined {
    for (const [path, item] of Object.entries(this.#document.paths)) {
      const pattern = new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
      if (pattern.test(pathname)) return item[method.toLowerCase()];
    }
    return undefined;
  }

  #validator(ref: string): ReturnType<Ajv["compile"]> {
    const validate = this.#ajv.getSchema(`document${ref}`);
    if (validate === undefined) throw new Error(`The document has no ${ref}`);
    return validate;
  }

  #bodyProblem(ref: string, text: string): string | null {
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return `not JSON: ${text}`;
    }
    const validate = this.#validator(ref);
    return validate(body) === true ? null : `${ref}: ${this.#ajv.errorsText(validate.errors)}: ${text}`;
  }
}
