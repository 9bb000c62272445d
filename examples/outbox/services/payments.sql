-- The service's own tables.
create table shop.payments (
    payment_id uuid primary key default gen_random_uuid(),
    idempotency_key text not null unique,
    order_id text not null,
    amount_cents bigint not null check (amount_cents >= 0),
    status text not null default 'paid' check (status in ('paid', 'refunded'))
);

-- What was answered to which command, for when it is asked again.
create table shop.answers (
    idempotency_key text primary key,
    reply text not null,
    body jsonb not null
);
