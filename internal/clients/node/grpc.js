// Makes RPCs with @grpc/grpc-js: those that stdin says, with messages in JSON, and
// prints how they went. Arguments: the server's address and the folder of the
// .proto files.
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { json } from "node:stream/consumers";

const [address, protos] = process.argv.slice(2);
const definition = loader.loadSync("culvert/v1/service.proto", {
  includeDirs: [protos],
  bytes: String, // in base64, as in JSON
  enums: String,
  longs: String,
});
const { culvert } = grpc.loadPackageDefinition(definition);
const client = new culvert.v1.HTTPService(address, grpc.credentials.createInsecure());

function call(method, messages) {
  return new Promise((resolve) => {
    const { requestStream, responseStream } = client[method];
    const outputs = [];
    const fail = (error) =>
      resolve({
        code: error.code,
        message: error.details,
        status: error.metadata?.get("grpc-status-details-bin")[0]?.toString("base64"),
      });
    const answer = (error, output) => (error ? fail(error) : resolve({ messages: [output] }));
    const args = requestStream ? [] : [messages[0]];
    if (!responseStream) args.push(answer);
    const stream = client[method](...args);
    if (responseStream) {
      stream.on("data", (output) => outputs.push(output));
      stream.on("error", fail);
      stream.on("end", () => resolve({ messages: outputs }));
    }
    if (requestStream) {
      for (const message of messages) stream.write(message);
      stream.end();
    }
  });
}

const replies = [];
for (const { method, messages } of await json(process.stdin)) {
  replies.push(await call(method, messages));
}
client.close();
process.stdout.write(JSON.stringify(replies), () => process.exit(0));
