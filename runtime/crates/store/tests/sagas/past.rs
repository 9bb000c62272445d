//! What is kept of a saga for replays.

use wasaga_domain::{
    http::{HttpCall, HttpError, HttpExchange, HttpResponse},
    ids::PluginName,
    mail::MailContent,
    message::Header,
    payload::Payload,
    ports::HttpRecord as _,
};

use crate::stage::{Stage, ending, entry, new_saga};

fn exchange(url: &str, answer: Result<HttpResponse, HttpError>) -> HttpExchange {
    HttpExchange { method: "POST".into(), url: url.into(), body: Some(vec![0, 255].into()), answer }
}

#[tokio::test]
async fn a_sagas_past_is_its_journal_its_mail_and_what_its_requests_came_to() {
    let stage = Stage::new().await;
    let saga = stage.sagas(1).await[0];
    stage.store().saga_signal(saga, "go", &Payload::json("7")).await.unwrap();
    let mut end = ending(saga);
    end.seen = 1;
    stage.commit(&end).await.unwrap();
    let call = |key: &str, attempt| HttpCall { saga, key: key.into(), attempt };
    let header = Header { name: "x-kind".into(), value: vec![0xff].into() };
    let answered = Ok(HttpResponse { status: 201, headers: vec![header], body: vec![0, 1].into() });
    let lost = Err(HttpError::MaybeSent("no answer".into()));
    let first = [exchange("https://a.example/", lost), exchange("https://b.example/", answered)];
    // The attempt was made once more after its host was lost: what it did then counts.
    let once = [exchange("https://c.example/", Err(HttpError::NotSent("nobody".into())))];
    stage.store().keep(&call("k", 1), &once).await.unwrap();
    stage.store().keep(&call("k", 1), &first).await.unwrap();
    stage.store().keep(&call("k", 2), &once).await.unwrap();

    let past = stage.store().saga_past(saga).await.unwrap().expect("it is there");
    assert_eq!(past.journal.len(), 1);
    assert_eq!(past.journal[0].output, entry(past.journal[0].kind).entry.output);
    let signal = MailContent::Signal { name: "go".into(), payload: Payload::json("7") };
    assert_eq!(past.mail.len(), 1);
    assert_eq!(past.mail[0].1.content, signal);
    let [lost, answered] = first;
    let expected =
        [(call("k", 1), lost), (call("k", 1), answered), (call("k", 2), once[0].clone())];
    assert_eq!(past.requests, expected);

    stage
        .db
        .run("update wasaga.sagas set created_at = '2020-01-01', updated_at = '2020-01-02'")
        .await;
    stage.db.run("update wasaga.retention set next_at = '-infinity'").await;
    let removed: i32 =
        sqlx::query_scalar("select removed from wasaga.sagas_retire(0, false, 10, 0, 1000)")
            .fetch_one(&mut stage.connect().await)
            .await
            .unwrap();
    assert_eq!(removed, 1);
    assert_eq!(stage.number("select count(*) from wasaga.http_record").await, 0);
    assert!(stage.store().saga_past(saga).await.unwrap().is_none());
}

#[tokio::test]
async fn the_definitions_of_a_worker_are_those_with_its_steps() {
    let stage = Stage::new().await;
    stage.store().sagas_start(stage.host, &[new_saga("1")]).await.unwrap();
    stage
        .db
        .run(
            r#"alter table wasaga.definitions drop constraint definitions_digest_fkey;
            insert into wasaga.definitions (name, version, plugin, content, digest) values
                ('own', 1, 'stock', '{"name": "own", "version": 1, "steps": [{"name": "a"}]}', sha256('1')),
                ('lent', 2, 'shop', '{"name": "lent", "version": 2, "steps": [{"name": "a"}, {"name": "b", "worker": "stock"}]}', sha256('2')),
                ('other', 1, 'shop', '{"name": "other", "version": 1, "steps": [{"name": "a"}]}', sha256('3')),
                ('given-away', 1, 'stock', '{"name": "given-away", "version": 1, "steps": [{"name": "a", "worker": "shop"}]}', sha256('4'))"#,
        )
        .await;
    let stock: PluginName = "stock".parse().unwrap();
    assert_eq!(stage.store().definitions_of_worker(&stock).await.unwrap(), ["lent", "own"]);
}
