// Places an order: the message and the order are one commit, or neither is there.

import pg from "pg";

async function place(client, order, cents) {
  await client.query("begin");
  try {
    const emitted = await client.query(
      `select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
           event_type => 'order.placed') as message`,
      [order, JSON.stringify({ order_id: order, cents }), `place ${order}`],
    );
    await client.query(
      "insert into shop.orders (order_id, cents) values ($1, $2) on conflict do nothing",
      [order, cents],
    );
    await client.query("commit");
    return emitted.rows[0].message;
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

const [order, cents] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  const message = await place(client, order, Number(cents));
  console.log(`order ${order} is placed: message ${message}`);
} catch (error) {
  console.error(`order ${order} is not placed: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.end();
}
