//! The order plugins' tables: the books balance, and nothing was done twice.

use super::Check;

pub(super) const CHECKS: [Check; 7] = [
    (
        4,
        "stock is a million of each product, less what is reserved",
        "select s.product_id, s.available, s.reserved, r.quantity
         from plugin_inventory.stock s
         left join (select product_id, sum(quantity) as quantity from plugin_inventory.reservations
             where status = 'reserved' group by product_id) r using (product_id)
         where s.available + s.reserved <> 1000000 or s.reserved <> coalesce(r.quantity, 0)",
    ),
    (
        4,
        "what is reserved is what completed orders ordered",
        "with orders as (
             select business_key as order_id, status, convert_from(input, 'UTF8')::jsonb as input
             from wasaga.sagas where definition = 'order'
         ), sold as (
             select order_id, item->>'product_id' as product_id, sum((item->>'quantity')::numeric) as quantity
             from orders, jsonb_array_elements(input->'items') as item
             where status = 'completed' group by 1, 2
         ), reserved as (
             select order_id, product_id, sum(quantity) as quantity from plugin_inventory.reservations
             where status = 'reserved' and order_id in (select order_id from orders) group by 1, 2
         )
         select order_id, product_id, s.quantity as sold, r.quantity as reserved
         from sold s full join reserved r using (order_id, product_id)
         where s.quantity is distinct from r.quantity",
    ),
    (
        4,
        "what is paid is what completed orders cost",
        "with orders as (
             select business_key as order_id, status, convert_from(input, 'UTF8')::jsonb as input
             from wasaga.sagas where definition = 'order'
         ), sold as (
             select order_id, sum(round((item->>'price')::numeric * 100) * (item->>'quantity')::numeric) as cents
             from orders, jsonb_array_elements(input->'items') as item
             where status = 'completed' group by 1
         ), paid as (
             select order_id, sum(amount_cents) as cents from plugin_payment.payments
             where status = 'paid' and order_id in (select order_id from orders) group by 1
         )
         select order_id, s.cents as sold, p.cents as paid
         from sold s full join paid p using (order_id)
         where s.cents is distinct from p.cents",
    ),
    (
        4,
        "what is shipped is the completed orders, each once",
        "with orders as (
             select business_key as order_id, status from wasaga.sagas where definition = 'order'
         ), shipped as (
             select order_id, count(*) as times from plugin_shipping.shipments
             where status = 'created' group by 1
         )
         select o.order_id, o.status, s.times from orders o left join shipped s using (order_id)
         where coalesce(s.times, 0) <> case when o.status = 'completed' then 1 else 0 end",
    ),
    (
        3,
        "a service acts at most once for an order, whatever is undone of it",
        "with acts as (
             select distinct 'inventory' as service, order_id, idempotency_key from plugin_inventory.reservations
             union all select 'payment', order_id, idempotency_key from plugin_payment.payments
             union all select 'shipping', order_id, idempotency_key from plugin_shipping.shipments
         )
         select service, order_id, count(*) as times from acts
         where order_id in (select business_key from wasaga.sagas where definition = 'order')
         group by 1, 2 having count(*) > 1",
    ),
    (
        3,
        "a customer is told of completed orders only, and once of each",
        "select n.order_id, s.status, count(*) as times
         from plugin_notification.notifications n
         left join wasaga.sagas s on s.definition = 'order' and s.business_key = n.order_id
         group by 1, 2 having s.status is distinct from 'completed' or count(*) > 1",
    ),
    (
        1,
        "an order's end is published once, where it is completed",
        "select s.business_key, s.status, count(o.id) as times
         from wasaga.sagas s
         left join wasaga.task_out o on o.topic = 'orders.events' and o.saga_id = s.id
         where s.definition = 'order' group by s.id
         having count(o.id) <> case when s.status = 'completed' then 1 else 0 end",
    ),
];
