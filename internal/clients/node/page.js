// Runs in the browser: makes the RPCs that the test hands in.
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { HTTPService } from "generated/culvert/v1/service_pb.js";
import { TunnelErrorSchema } from "generated/culvert/v1/error_pb.js";
import { caller } from "./rpc.js";
import { textCaller } from "./webtext.js";

const callers = {
  connect: (baseUrl) => caller(createConnectTransport({ baseUrl }), HTTPService, TunnelErrorSchema),
  "grpc-web": (baseUrl) => caller(createGrpcWebTransport({ baseUrl }), HTTPService, TunnelErrorSchema),
  "grpc-web-text": (baseUrl) => textCaller(baseUrl, HTTPService),
};

window.run = async (kind, baseUrl, calls) => {
  const call = callers[kind](baseUrl);
  const replies = [];
  for (const { method, messages } of calls) replies.push(await call(method, messages));
  return replies;
};
