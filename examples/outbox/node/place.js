// Places an order: the messages and the order are one commit, or nothing is there.

import pg from "pg";

async function place(client, order, cents, products) {
  const lines = products.map((product, index) => ({
    topic: "orders.lines",
    key: order,
    payload: { line: index + 1, product },
    headers: [["product", product]],
    idempotency_key: `place ${order} line ${index + 1}`,
  }));
  await client.query("begin");
  try {
    const emitted = await client.query(
      `select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
           event_type => 'order.placed') as message`,
      [order, JSON.stringify({ order_id: order, cents }), `place ${order}`],
    );
    // As JSON: of an array pg would make one of Postgres's.
    const many = await client.query("select wasaga.emit_many($1) as messages", [
      JSON.stringify(lines),
    ]);
    await client.query(
      "insert into shop.orders (order_id, cents, products) values ($1, $2, $3) on conflict do nothing",
      [order, cents, products],
    );
    await client.query("commit");
    return [emitted.rows[0].message, ...many.rows[0].messages];
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

const [order, cents, ...products] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  const messages = await place(client, order, Number(cents), products);
  console.log(`order ${order} is placed: messages ${messages}`);
} catch (error) {
  console.error(`order ${order} is not placed: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.end();
}
