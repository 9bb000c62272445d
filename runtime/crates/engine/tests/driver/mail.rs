//! Mail that cannot be read: tried again, ever less often, and read in the end.

use std::time::Duration;

use wasaga_domain::{
    attempt::Direction,
    mail::{Audit, Verb},
};

use crate::{
    script::{Answer, Scripted, done},
    stage::{Stage, bounded, until},
};

/// Each read of mail is noted, and every piece of it is of a kind that no host knows.
const UNREADABLE: &str = "create table public.reads (at timestamptz);
    create function public.noted() returns boolean volatile language sql as $$
        insert into public.reads values (clock_timestamp()) returning true
    $$;
    alter table wasaga.mail drop constraint mail_kind_check;
    create function public.garble() returns trigger language plpgsql as $$ begin
        new.kind := 'gibberish';
        return new;
    end $$;
    create trigger garble before insert on wasaga.mail for each row execute function public.garble();
    alter table wasaga.mail rename to pieces;
    create view wasaga.mail as select * from wasaga.pieces where public.noted()";

#[tokio::test]
async fn mail_that_cannot_be_read_is_tried_again_with_a_growing_pause() {
    bounded(async {
        const READS: usize = 6;
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            let undo = call.attempt.direction == Direction::Undo;
            if undo { Answer::Now(done()) } else { Answer::Later }
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("it is called", async || host.script.running() == 1).await;
        stage.session().await.run(UNREADABLE).await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("enough")).await.unwrap();
        until("it is tried again", async || stage.count("public.reads").await >= READS as i64)
            .await;
        let pauses =
            "select (extract(epoch from at - lag(at) over (order by at)) * 1000)::bigint::text
            from public.reads order by at";
        let pauses = stage.session().await.texts(pauses).await.into_iter().flatten();
        let pauses: Vec<u64> = pauses.map(|pause| pause.parse().unwrap()).collect();
        let grow = pauses.iter().zip(0..).all(|(pause, n)| *pause >= 10 << n);
        assert!(grow && pauses.len() >= READS - 1, "{pauses:?}");
        stage.session().await.run("update wasaga.pieces set kind = 'verb'").await;
        until("it is read", async || {
            stage.count("wasaga.sagas where state ->> 'mail_seen' = '1'").await == 1
        })
        .await;
        host.script.end(|_| done());
        host.end().await;
        assert_eq!(stage.status(saga).await, "compensated");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
