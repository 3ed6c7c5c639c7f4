// RPCs by the official grpc-web client in its text mode, with the messages of
// @bufbuild/protobuf.
import { fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import grpcWeb from "grpc-web";

/** Returns a function that makes an RPC with messages in JSON and says how it went. */
export function textCaller(baseUrl, service) {
  const client = new grpcWeb.GrpcWebClientBase({ format: "text" });
  return (name, messages) => {
    const method = service.method[name[0].toLowerCase() + name.slice(1)];
    const streams = method.methodKind === "server_streaming";
    const url = `${baseUrl}/${service.typeName}/${name}`;
    const descriptor = new grpcWeb.MethodDescriptor(
      url,
      streams ? grpcWeb.MethodType.SERVER_STREAMING : grpcWeb.MethodType.UNARY,
      Object,
      Object,
      (message) => toBinary(method.input, message),
      (bytes) => fromBinary(method.output, bytes),
    );
    const input = fromJson(method.input, messages[0]);
    const failure = (error) => ({
      code: error.code,
      message: error.message,
      status: padded(error.metadata?.["grpc-status-details-bin"] ?? ""),
    });
    return new Promise((resolve) => {
      if (!streams) {
        client.rpcCall(url, input, {}, descriptor, (error, output) =>
          resolve(error ? failure(error) : { messages: [toJson(method.output, output)] }),
        );
        return;
      }
      const outputs = [];
      const stream = client.serverStreaming(url, input, {}, descriptor);
      stream.on("data", (output) => outputs.push(toJson(method.output, output)));
      stream.on("error", (error) => resolve(failure(error)));
      stream.on("end", () => resolve({ messages: outputs }));
    });
  };
}

// Details come in base64 without its padding.
function padded(base64) {
  return base64.padEnd(Math.ceil(base64.length / 4) * 4, "=");
}
