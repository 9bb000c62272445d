-- Places an order: the message and the order are one commit, or neither is there.
begin;

select wasaga.emit('orders.placed', :'order', jsonb_build_object('order_id', :'order', 'cents', :cents),
    idempotency_key => 'place ' || :'order', aggregate_id => :'order', event_type => 'order.placed') as message \gset

insert into shop.orders (order_id, cents) values (:'order', :cents) on conflict do nothing;

commit;
\echo order :order is placed: message :message
