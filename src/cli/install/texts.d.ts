/**
 * Files of examples/ that are part of the executable: imported as text, with `with { type: "text" }`.
 *
 * @module
 */
declare module "*.service" {
  const text: string;
  export default text;
}
declare module "*.socket" {
  const text: string;
  export default text;
}
declare module "*.conf" {
  const text: string;
  export default text;
}
