// A test guest of wasi:http 0.2 in JavaScript: an event handler as people write it, which answers by path.

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  switch (url.pathname) {
    case "/hello":
      return new Response("hello from JavaScript", { headers: { "content-type": "text/plain" } });
    case "/fields": {
      const headers = new Headers({ "x-method": request.method, "x-query": url.searchParams.get("q") ?? "" });
      headers.append("x-seen", request.headers.get("x-a") ?? "nothing");
      return new Response(null, { status: 204, headers });
    }
    case "/upper":
      return new Response((await request.text()).toUpperCase(), { status: 201 });
    case "/stream":
      // Passed through as it comes.
      return new Response(request.body);
    case "/fetch":
      return asked(request.headers.get("x-url"));
    case "/log":
      console.log("JavaScript was here");
      return new Response("logged");
    case "/throw":
      throw new Error("by choice");
    default:
      return new Response("not here", { status: 404 });
  }
}

/// What another server says, or that it could not be asked.
async function asked(url) {
  try {
    const response = await fetch(url, { method: "POST", body: "from JavaScript" });
    return new Response(`${response.status} ${await response.text()}`);
  } catch (error) {
    return new Response(`failed: ${error.message}`);
  }
}
