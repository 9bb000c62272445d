-- The shop's own table.
create table shop.orders (
    order_id text primary key,
    cents bigint not null check (cents > 0),
    products text[] not null
);
