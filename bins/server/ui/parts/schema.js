// What a policy may contain at a place: read from its JSON Schema, for the completion of the editor.

/** Deepest chain of references that is followed. */
const MOST_REFS = 20;

/** The schema with its references followed. */
function resolved(root, schema, depth = 0) {
  if (!schema || depth > MOST_REFS) return {};
  if (schema.$ref) return resolved(root, { ...root.definitions?.[schema.$ref.split("/").at(-1)], description: schema.description }, depth + 1);
  if (schema.allOf?.length === 1) return resolved(root, { ...schema.allOf[0], description: schema.description ?? schema.allOf[0].description }, depth + 1);
  return schema;
}

/** All alternatives of a schema. */
function alternatives(root, schema) {
  const own = resolved(root, schema);
  const choices = own.anyOf ?? own.oneOf;
  return choices ? choices.flatMap((choice) => alternatives(root, choice)) : [own];
}

/** The schemas at a path of names; `-` is the entry of a list. */
export function at(root, path) {
  let here = alternatives(root, root);
  for (const name of path) {
    here = here.flatMap((schema) => {
      const next = name === "-" ? schema.items : schema.properties?.[name] ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : null);
      return next ? alternatives(root, next) : [];
    });
  }
  return here;
}

/** Keys that fit at a path: `[{text, about, value}]`. */
export function keysAt(root, path) {
  return at(root, path).flatMap((schema) => Object.entries(schema.properties ?? {}).map(([text, property]) => {
    const own = resolved(root, property);
    return { text, about: first(property.description ?? own.description), insert: `${text}: ` };
  }));
}

/** Values that fit at a path: enumerations and truth values. */
export function valuesAt(root, path) {
  return at(root, path).flatMap((schema) => {
    if (schema.type === "boolean") return ["true", "false"].map((text) => ({ text, about: "", insert: text }));
    if (schema.const !== undefined) return [{ text: String(schema.const), about: first(schema.description), insert: String(schema.const) }];
    return (schema.enum ?? []).map((value) => ({ text: String(value), about: "", insert: String(value) }));
  });
}

const first = (text) => String(text ?? "").split(/\n|(?<=\.) /)[0];

/**
 * Where a position in a YAML document is: `{path, prefix, isValue}`. Read from the indentation, so that it also works
 * while the document has faults.
 */
export function placeOf(text, position) {
  const lines = text.slice(0, position).split("\n");
  const current = lines.pop();
  const own = /^(\s*)((?:- +)*)(.*)$/.exec(current);
  const typed = own[3];
  const colon = /^([\w.-]+):\s+(.*)$/.exec(typed);
  const indent = own[1].length + own[2].length;
  const path = [];
  if (own[2]) path.unshift("-");
  let limit = own[2] ? own[1].length : indent;
  // A list may stand at the indentation of its key.
  let mayEqual = Boolean(own[2]);
  for (const line of lines.toReversed()) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const parts = /^(\s*)((?:- +)*)([\w.-]+):(.*)$/.exec(line) ?? /^(\s*)(- +)(.*)$/.exec(line);
    if (!parts) continue;
    const dash = parts[1].length;
    const column = dash + parts[2].length;
    if (parts[2] && column <= limit && column > dash && limit > dash && !mayEqual) {
      // A further key of a list's entry.
      if (parts[4] !== undefined && column < limit && parts[4].trim() === "") path.unshift(parts[3]);
      path.unshift("-");
      limit = dash;
      mayEqual = true;
      continue;
    }
    if (parts[4] === undefined || parts[4].trim() !== "" && !/^\s*#/.test(parts[4])) continue;
    if (column < limit || (mayEqual && column === limit && !parts[2])) {
      path.unshift(parts[3]);
      if (parts[2]) path.unshift("-");
      limit = parts[2] ? dash : column;
      mayEqual = Boolean(parts[2]);
    }
    if (limit === 0 && !mayEqual) break;
  }
  if (colon) return { path: [...path, colon[1]], prefix: colon[2], isValue: true };
  return { path, prefix: typed, isValue: false, indent };
}

/** What fits at a position: `{prefix, options}`. */
export function complete(root, text, position) {
  const { path, prefix, isValue } = placeOf(text, position);
  if (/[#"']/.test(prefix)) return { prefix, options: [] };
  const all = isValue ? valuesAt(root, path) : [...keysAt(root, path), ...valuesAt(root, path)];
  const seen = new Set();
  const options = all.filter((option) => option.text.startsWith(prefix) && option.text !== prefix && !seen.has(option.text) && seen.add(option.text));
  return { prefix, options };
}
