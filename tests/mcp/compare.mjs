// Compares two runs of the conformance suite, check by check: a check that passes directly must pass through the
// gateway.
//
//   node compare.mjs DIRECT GATEWAY [EXCEPTION…]

import fs from "node:fs";
import path from "node:path";

const [direct, gateway, ...exceptions] = process.argv.slice(2);

// The worst status of each check, by scenario and check.
const read = (folder) => {
  const found = new Map();
  for (const run of fs.readdirSync(folder)) {
    const scenario = run.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
    for (const check of JSON.parse(fs.readFileSync(path.join(folder, run, "checks.json"), "utf8"))) {
      const key = `${scenario}:${check.id}`;
      const passed = !["FAILURE", "WARNING"].includes(check.status);
      const known = found.get(key);
      found.set(key, { passed: passed && (known?.passed ?? true), message: check.errorMessage ?? known?.message });
    }
  }
  return found;
};

const [alone, behind] = [read(direct), read(gateway)];
let [passed, both, faults] = [0, 0, 0];
for (const [key, check] of alone) {
  if (!check.passed) continue;
  passed += 1;
  const other = behind.get(key);
  if (other?.passed) {
    both += 1;
    if (exceptions.includes(key)) {
      console.log(`the exception ${key} passes; remove it`);
      faults += 1;
    }
  } else if (!exceptions.includes(key)) {
    console.log(`${key} passes directly and not through the gateway: ${other?.message ?? "it did not run"}`);
    faults += 1;
  }
}
console.log(`${passed} checks pass directly, ${both} of them through the gateway, of ${alone.size}`);
process.exitCode = faults > 0 || passed < 40 ? 1 : 0;
