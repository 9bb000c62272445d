//! A saga whose row can't be read asks for an operator, and holds nobody else up.

use std::time::Duration;

use wasaga_domain::mail::{Audit, Verb};

use crate::{
    script::{Answer, Scripted, asks},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn it_is_set_aside_until_it_is_mended() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|call| Answer::Now(asks(call))));
        let broken = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        let other = host.engine.start(stage.request("2")).await.unwrap().saga_id;
        for saga in [broken, other] {
            stage.until_status(saga, "waiting").await;
        }
        let mut session = stage.session().await;
        session.run("create table kept as select id, state from wasaga.sagas").await;
        // Both are ready at once: one claim finds them.
        session
            .run(&format!(
                "begin; update wasaga.sagas set state = '{{\"course\": 7}}' where id = '{broken}';
                 select wasaga.replies_deliver(array['replies', 'replies'], array['1/a', '2/a'],
                     array[null, null]::bytea[], array['[]', '[]']::jsonb[], array['yes', 'yes']::bytea[], 60000);
                 commit"
            ))
            .await;
        assert_eq!(host.end().await, other);
        stage.until_status(broken, "needs_attention").await;
        let shown = stage.db.store.saga_get(broken).await.unwrap().unwrap();
        assert_eq!(shown.state.attention.expect("a reason").code, "unreadable");
        let journal = stage.db.store.journal_list(broken).await.unwrap();
        let why = journal.last().unwrap().error.clone().unwrap().message;
        assert!(why.contains("wasaga.sagas.state") && why.contains(&broken.to_string()), "{why}");
        assert_eq!(stage.journal(broken).await, ["waiting a", "needs_attention"]);
        assert_eq!(stage.count("wasaga.sagas where host_id is not null").await, 0);

        session.run("update wasaga.sagas s set state = k.state from kept k where k.id = s.id and not s.ended").await;
        host.engine.ask(broken, &Verb::Resume, &Audit::because("mended")).await.unwrap();
        until("it ends", async || stage.status(broken).await == "completed").await;
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
