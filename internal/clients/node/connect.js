// Makes RPCs with @connectrpc/connect-node: those that stdin says, with messages
// in JSON, and prints how they went. Arguments: the protocol, the version of HTTP,
// the server's URL and the folder of the generated code.
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { json } from "node:stream/consumers";
import { join } from "node:path";
import { caller } from "./rpc.js";

const [protocol, httpVersion, baseUrl, generated] = process.argv.slice(2);
const transports = {
  connect: createConnectTransport,
  grpc: createGrpcTransport,
  "grpc-web": createGrpcWebTransport,
};
const transport = transports[protocol]({ baseUrl, httpVersion });
const { HTTPService } = await import(join(generated, "culvert/v1/service_pb.js"));
const { TunnelErrorSchema } = await import(join(generated, "culvert/v1/error_pb.js"));

const call = caller(transport, HTTPService, TunnelErrorSchema);
const replies = [];
for (const { method, messages } of await json(process.stdin)) {
  replies.push(await call(method, messages));
}
process.stdout.write(JSON.stringify(replies), () => process.exit(0));
