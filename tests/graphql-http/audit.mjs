// Runs the audits of the GraphQL-over-HTTP specification against a server and prints every one that does not pass.
//
//   node audit.mjs http://127.0.0.1:3000/graphql
import { auditServer } from "graphql-http";

const [url] = process.argv.slice(2);
const results = await auditServer({ url });
const missed = results.filter((result) => result.status !== "ok");
for (const { id, name, status, reason, response } of missed) {
  const body = response?.bodyUsed === false ? await response.text() : "";
  console.log(`${status} ${id} ${name}\n    ${reason}\n    ${response?.status} ${body.slice(0, 200)}`);
}
console.log(`${results.length - missed.length} of ${results.length}`);
process.exitCode = missed.length === 0 && results.length > 0 ? 0 : 1;
