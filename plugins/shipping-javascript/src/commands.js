// The table `commands`: every command that the service has handled, how often, and what it answered.
//
// One row is inserted before anything is done, so that two hosts that handle the same command take turns. An undo that
// overtakes its command leaves the command's refusal in its row, and the late command finds it answered.

import { sql } from "wasaga-guest";

/** `reply`, a message type, and `answer`, its value, are null while the command was only put off; a row that nobody has
 * `handled` is the refusal of a command that was undone before it came. */
export const TABLE = `
create table commands (
    idempotency_key text primary key,
    kind text not null,
    order_id text not null,
    reply text,
    answer jsonb,
    handled integer not null check (handled >= 0),
    check ((reply is null) = (answer is null))
);
`;

/** Counts a command; its answer, if it has been given before. */
export function count({ key, kind, orderId }) {
  const { reply, answer } = sql.queryOne(
    `insert into commands (idempotency_key, kind, order_id, handled) values ($1, $2, $3, 1)
     on conflict (idempotency_key) do update set handled = commands.handled + 1
     returning reply, answer`,
    key,
    kind,
    orderId,
  );
  return reply === null ? undefined : { reply, value: answer };
}

/** Keeps a command's answer for when it comes again. */
export function keep(key, { reply, value }) {
  sql.execute(
    "update commands set reply = $2, answer = $3::jsonb where idempotency_key = $1",
    key,
    reply,
    sql.json(value),
  );
}

/** Answers a command that has not come yet. False: it has. */
export function forestall({ key, kind, orderId }, { reply, value }) {
  const inserted = sql.execute(
    `insert into commands (idempotency_key, kind, order_id, reply, answer, handled)
     values ($1, $2, $3, $4, $5::jsonb, 0)
     on conflict (idempotency_key) do nothing`,
    key,
    kind,
    orderId,
    reply,
    sql.json(value),
  );
  return inserted === 1;
}
