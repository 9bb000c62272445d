// The table `shipments`.

import { sql } from "wasaga-guest";

/** What is `created` goes to the customer. */
export const TABLE = `
create table shipments (
    shipment_id uuid primary key default gen_random_uuid(),
    idempotency_key text not null unique,
    order_id text not null,
    customer_id text not null,
    items jsonb not null,
    status text not null default 'created' check (status in ('created', 'cancelled'))
);
`;

/** Creates a shipment and returns its id. */
export function create(key, { order_id, customer_id, items }) {
  const { shipment_id } = sql.queryOne(
    `insert into shipments (idempotency_key, order_id, customer_id, items)
     values ($1, $2, $3, $4::jsonb) returning shipment_id`,
    key,
    order_id,
    customer_id,
    sql.json(items),
  );
  return shipment_id;
}

/** Cancels what was created under this key. False: nothing was, or it is cancelled already. */
export function cancel(key) {
  const cancelled = sql.execute(
    "update shipments set status = 'cancelled' where idempotency_key = $1 and status = 'created'",
    key,
  );
  return cancelled > 0;
}
