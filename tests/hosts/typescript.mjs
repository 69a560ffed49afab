// Visits the gateway with the TypeScript SDK and prints what it saw, as JSON: node typescript.mjs URL GENERATION ERA….
// GENERATION is 1 (@modelcontextprotocol/sdk) or 2 (@modelcontextprotocol/client). It is given to node on standard input,
// in the folder whose node_modules has the packages.
const [url, generation, ...eras] = process.argv.slice(2);
const info = { name: "trunkline-tests", version: "1" };

let Client, Transport;
if (generation === "1") {
  ({ Client } = await import("@modelcontextprotocol/sdk/client/index.js"));
  ({ StreamableHTTPClientTransport: Transport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js"));
} else {
  ({ Client, StreamableHTTPClientTransport: Transport } = await import("@modelcontextprotocol/client"));
}
for (const era of eras) {
  const client = new Client(info, { versionNegotiation: { mode: era === "legacy" ? "legacy" : { pin: era } } });
  const transport = new Transport(new URL(url));
  await client.connect(transport);

  const called = await client.callTool({ name: "faulty_add", arguments: { a: 2, b: 3 } });
  const failed = await client.callTool({ name: "faulty_fail", arguments: { message: "as tools do" } });
  const refused = await client.callTool({ name: "faulty_rpc_error", arguments: { code: -32603, message: "no" } }).then(
    () => null,
    (error) => ({ code: error.code, may_have_run: error.data?.may_have_run }),
  );
  const { resources } = await client.listResources();
  const { contents } = await client.readResource({ uri: resources[0].uri });
  const seen = {
    version: transport.protocolVersion ?? client.getNegotiatedProtocolVersion(),
    tools: (await client.listTools()).tools.map((tool) => tool.name),
    sum: called.structuredContent.sum,
    provenance: called._meta["trunkline/provenance"].server,
    failed: [failed.isError, failed.content[0].text],
    refused,
    resource: contents[0].text.length > 0,
  };
  await client.close();
  console.log(JSON.stringify(seen));
}
