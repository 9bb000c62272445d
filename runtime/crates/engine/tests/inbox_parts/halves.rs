//! Batches that fail as a whole: by halves, until they get through.

use super::{Host, World};

/// More than three tasks in one transaction fail with this SQLSTATE.
async fn more_than_three_fail(world: &World, code: &str) {
    let trigger = format!(
        "create sequence public.refusals;
         create function public.refuse() returns trigger language plpgsql as $$ begin
             if (select count(*) from changed where status = 'ready') > 3 then
                 perform nextval('public.refusals');
                 raise exception 'too many at once' using errcode = '{code}';
             end if;
             return null;
         end $$;
         create trigger refuse after update on wasaga.task_in referencing new table as changed
             for each statement execute function public.refuse()"
    );
    world.run(&trigger).await;
}

/// The connection breaks; memory runs out.
const CODES: [&str; 2] = ["57P01", "53200"];

#[tokio::test]
async fn ends_that_fail_together_are_written_by_halves() {
    for code in CODES {
        let world = World::new().await;
        more_than_three_fail(&world, code).await;
        let host = Host::start(&world).await;
        let values: Vec<_> = (0..12).map(|n| format!("v{n}")).collect();
        let releases: Vec<_> = values.iter().map(|value| host.plugin.block(value)).collect();
        for (offset, value) in values.iter().enumerate() {
            world.record("commands", offset as i64, Some(value), value).await;
        }
        for value in &values {
            host.plugin.called(value, 1).await;
        }
        for release in releases {
            release.send(()).expect("the call waits");
        }
        let written =
            "select count(*) = 12 from wasaga.task_in where status = 'ready' and attempts = 1";
        world.until(written).await;
        world.until("select is_called from public.refusals").await;
        assert_eq!(host.plugin.calls().len(), 12);
        host.stop().await;
    }
}

#[tokio::test]
async fn replies_that_fail_together_are_delivered_by_halves() {
    for code in CODES {
        let world = World::new().await;
        more_than_three_fail(&world, code).await;
        for offset in 0..12 {
            world.record("replies", offset, Some(&format!("c{offset}")), "{}").await;
        }
        let host = Host::start(&world).await;
        let delivered =
            "select count(*) = 12 and sum(cardinality(arrived_keys)) = 12 from wasaga.waits";
        world.until(delivered).await;
        world.until("select is_called from public.refusals").await;
        host.stop().await;
    }
}
