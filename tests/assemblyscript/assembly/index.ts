// A test guest of the proxy-wasm ABI in AssemblyScript: what it does stands in the request's fields.
export * from "@solo-io/proxy-runtime/proxy";
import {
  BufferTypeValues,
  Context,
  FilterDataStatusValues,
  FilterHeadersStatusValues,
  GrpcStatusValues,
  HeaderPair,
  Headers,
  LogLevelValues,
  RootContext,
  get_buffer_bytes,
  get_property,
  log,
  registerRootContext,
  send_local_response,
  stream_context,
} from "@solo-io/proxy-runtime/runtime";

class Root extends RootContext {
  createContext(context_id: u32): Context {
    return new Stream(context_id, this);
  }
}

class Stream extends Context {
  constructor(context_id: u32, root: Root) {
    super(context_id, root);
  }

  onRequestHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    if (stream_context.headers.request.get("x-deny") != "") {
      let headers: Headers = [new HeaderPair(String.UTF8.encode("x-denied-by"), String.UTF8.encode("AssemblyScript"))];
      let body = String.UTF8.encode("no entry");
      send_local_response(403, "denied", body, headers, GrpcStatusValues.PermissionDenied);
      return FilterHeadersStatusValues.StopIteration;
    }
    let method = stream_context.headers.request.get(":method");
    stream_context.headers.request.add("x-seen", method + " with " + this.root_context.getConfiguration());
    stream_context.headers.request.remove("x-gone");
    return FilterHeadersStatusValues.Continue;
  }

  onRequestBody(size: usize, end: bool): FilterDataStatusValues {
    let body = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, size as u32));
    log(LogLevelValues.info, "body: " + body);
    return FilterDataStatusValues.Continue;
  }

  onResponseHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    let route = String.UTF8.decode(get_property("route_name"));
    stream_context.headers.response.replace("x-route", route);
    return FilterHeadersStatusValues.Continue;
  }

  onLog(): void {
    log(LogLevelValues.info, "stream is over");
  }
}

registerRootContext((context_id: u32): RootContext => new Root(context_id), "test");
