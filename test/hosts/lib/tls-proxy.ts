/**
 * Ends TLS in front of a daemon's socket, as the documentation wants it from a proxy: clients without a certificate of the authority
 * are turned away. A process of its own, so that it can run in a host's network.
 *
 * Usage: bun tls-proxy.ts FOLDER HOST PORT SOCKET     FOLDER holds ca.pem, server.pem, server.key
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createServer } from "node:tls";

const [folder = "", host = "", port = "", socket = ""] = process.argv.slice(2);
const pem = (name: string): string => readFileSync(`${folder}/${name}`, "utf8");
const server = createServer(
  {
    ca: pem("ca.pem"),
    cert: pem("server.pem"),
    key: pem("server.key"),
    requestCert: true,
    rejectUnauthorized: true,
  },
  (client) => {
    const upstream = connect(socket);
    client.pipe(upstream).pipe(client);
    for (const side of [client, upstream]) {
      side.on("error", () => {
        client.destroy();
        upstream.destroy();
      });
    }
  },
);
server.listen(Number(port), host, () => console.log("listening"));
