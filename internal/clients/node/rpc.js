// RPCs by any transport of Connect, in Node and in browsers.
import { ConnectError, createClient } from "@connectrpc/connect";
import { fromJson, toJson } from "@bufbuild/protobuf";

/** Returns a function that makes an RPC with messages in JSON and says how it went. */
export function caller(transport, service, errorSchema) {
  const client = createClient(service, transport);
  return async (name, messages) => {
    const method = service.method[name[0].toLowerCase() + name.slice(1)];
    const rpc = client[method.localName];
    const inputs = messages.map((message) => fromJson(method.input, message));
    const outputs = [];
    try {
      switch (method.methodKind) {
        case "unary":
          outputs.push(await rpc(inputs[0]));
          break;
        case "client_streaming":
          outputs.push(await rpc(each(inputs)));
          break;
        case "server_streaming":
          for await (const output of rpc(inputs[0])) outputs.push(output);
          break;
        default:
          for await (const output of rpc(each(inputs))) outputs.push(output);
      }
    } catch (reason) {
      const error = ConnectError.from(reason);
      const [detail] = error.findDetails(errorSchema);
      return { code: error.code, message: error.rawMessage, cause: detail?.cause ?? 0 };
    }
    return { messages: outputs.map((output) => toJson(method.output, output)) };
  };
}

async function* each(items) {
  yield* items;
}
