-- Places an order: the messages and the order are one commit, or nothing is there.
begin;

select wasaga.emit('orders.placed', :'order', jsonb_build_object('order_id', :'order', 'cents', :cents),
    idempotency_key => 'place ' || :'order', aggregate_id => :'order', event_type => 'order.placed') as message \gset

-- One for each line of the order.
select wasaga.emit_many(to_jsonb(array(
    select jsonb_build_object('topic', 'orders.lines', 'key', :'order',
        'payload', jsonb_build_object('line', line, 'product', product),
        'headers', jsonb_build_array(jsonb_build_array('product', product)),
        'idempotency_key', format('place %s line %s', :'order', line))
    from unnest(string_to_array(:'products', ',')) with ordinality as lines (product, line) order by line
))) as lines \gset

insert into shop.orders (order_id, cents, products)
values (:'order', :cents, string_to_array(:'products', ',')) on conflict do nothing;

commit;
\echo order :order is placed: messages :message :lines
