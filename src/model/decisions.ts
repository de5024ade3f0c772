/**
 * What flt decides about units and machines, each with the id under which the journal files it (MESSAGE_ID, see
 * systemd.journal-fields(7)).
 *
 * Idea. One line in the log for each decision, made by whoever decided, when it took effect. Ids are for ever: scripts ask for them.
 *
 * @module
 */
export interface DecisionKind {
  readonly messageId: string;
  /** Who says it, and when. */
  readonly meaning: string;
}

export const DECISIONS = {
  placed: {
    messageId: "c2e2cb6b5af4463c8da85e5381af3f62",
    meaning: "The leader placed a unit on a machine",
  },
  moved: {
    messageId: "fee980f0bc474195ac25b5012305bd15",
    meaning: "The leader moved a unit from one machine (`FLT_FROM`) to another, and why",
  },
  withdrawn: {
    messageId: "4e5c08b5f131415387e681dd62245f59",
    meaning: "The leader took a unit off its machine, and why",
  },
  refused: {
    messageId: "9fd2de6c1b214ed5a470de790393c23b",
    meaning: "The leader found no machine for a unit, with a reason a machine; or a machine refused a unit, and why",
  },
  "machine-found": {
    messageId: "b942aea089b745fbbc226217f1cf1547",
    meaning: "A machine was registered",
  },
  "machine-away": {
    messageId: "8e26f1b8e43e46f784619d3c90407fdc",
    meaning: "A machine is registered no longer: it left, or its lease is over. Its units stay",
  },
  "machine-lost": {
    messageId: "557870ac3f494040bb4e2a4dab377d37",
    meaning: "A machine was given up, and why: its units go elsewhere",
  },
  "leader-gained": {
    messageId: "3144c92fc7dc4268a925ecb7205640a2",
    meaning: "The engine runs here from now on",
  },
  "leader-lost": {
    messageId: "f8681f00f1ac49f297d819df436b95ce",
    meaning: "The engine runs here no longer, and why",
  },
  ordered: {
    messageId: "100215a2b2b743289fad4fedbd852a2f",
    meaning: "A machine does what it was told about a unit: load, start, stop, unload, restore",
  },
  failed: {
    messageId: "04ec11bbf6a548f4a37a03c1b92dc7f2",
    meaning: "What a machine did about a unit failed, and why; it tries again, or systemd has ended the job",
  },
  adopted: {
    messageId: "8faaa3e72a4c46a7bdfe9796ed7cab36",
    meaning: "A daemon that starts took over a unit that was there before it",
  },
  "handed-over": {
    messageId: "6d1943b1f60b47f79c58d897dfb383fc",
    meaning: "A machine that leaves stops a unit and gives it back",
  },
  fenced: {
    messageId: "673b19e472454642b79d35dda3b53abd",
    meaning: "systemd has stopped the units with `Fence=strict`: this machine's lease was not renewed in time",
  },
  diverged: {
    messageId: "03d6008760994029b3dd62affbb46ea4",
    meaning:
      "The members of the store hold different data, and whose is wrong; or this machine's is, and is not served",
  },
  rebuilt: {
    messageId: "fcd6d812afa34b1aa1cd7027dbd8c25c",
    meaning: "This machine's copy of the store was wrong, has been rebuilt from another one's, and is served again",
  },
} as const satisfies Readonly<Record<string, DecisionKind>>;

/** The value of a log line's field `decision`. */
export type Decision = keyof typeof DECISIONS;

/** undefined: no such decision. */
export function messageIdOf(decision: string): string | undefined {
  return Object.hasOwn(DECISIONS, decision) ? DECISIONS[decision as Decision].messageId : undefined;
}
