//! What must be after a commit and a delivery have met, in whichever order, and whatever was killed on the way.

use sqlx::{FromRow, PgConnection};
use wasaga_store::commit::{Transition, Verdict};

use crate::meeting::{Meeting, Part, Then};

#[derive(Debug, FromRow)]
struct SagaRow {
    leased: bool,
    ready: bool,
    sequence: i32,
    mail: i64,
    entries: i64,
    commands: i64,
    timers: i64,
    /// Values of its mail, first to last.
    letters: Vec<String>,
    /// Keys it waits for.
    waits: Vec<String>,
}

const SAGA: &str = "
    select s.host_id is not null as leased, s.ready_at is not null as ready, s.sequence, s.mail,
        (select count(*) from wasaga.journal j where j.saga_id = s.id) as entries,
        (select count(*) from wasaga.task_out o where o.saga_id = s.id) as commands,
        (select count(*) from wasaga.timers t where t.saga_id = s.id) as timers,
        array(select convert_from(m.value, 'UTF8') from wasaga.mail m where m.saga_id = s.id order by m.number)
            as letters,
        array(select split_part(w.correlation, '/', 2) from wasaga.waits w where w.saga_id = s.id
            order by w.correlation) as waits
    from wasaga.sagas s where s.id = $1";

const EARLY: &str = "
    select convert_from(arrived.value, 'UTF8') from wasaga.waits w,
        unnest(w.arrived_values) with ordinality as arrived (value, n)
    where w.correlation like $1 || '/%' and w.saga_id is null and w.expires_at is not null
    order by w.correlation, arrived.n";

const BROKEN: &str = "
    select (select count(*) from wasaga.waits where (saga_id is null) = (cardinality(arrived_keys) = 0))
        + (select count(*) from wasaga.task_in where partition = $1 and (status <> 'ready' or attempts <> 1))";

fn key(value: &str) -> &str {
    value.split('#').next().unwrap()
}

impl Meeting<'_> {
    /// Compares what the database has with what was sent, and with what the host was told of its sagas.
    pub async fn check(&self, books: &mut PgConnection, verdicts: &[Verdict]) {
        let mut arrived = Vec::new();
        for ((part, transition), verdict) in
            self.plan.sagas.iter().zip(&self.transitions).zip(verdicts)
        {
            let saga = sqlx::query_as(SAGA).bind(transition.saga.0);
            let saga: SagaRow = saga.fetch_one(&mut *books).await.unwrap();
            check(part, transition, *verdict, &saga);
            arrived.extend(saga.letters);
        }
        let early = sqlx::query_scalar(EARLY).bind(self.case.to_string());
        let early: Vec<String> = early.fetch_all(&mut *books).await.unwrap();
        // Each message once, and those of a key in their order.
        arrived.extend(early);
        arrived.sort_by(|one, other| key(one).cmp(key(other)));
        let mut sent = self.sent.clone();
        sent.sort_by(|one, other| key(one).cmp(key(other)));
        assert_eq!(arrived, sent);
        let broken = sqlx::query_scalar(BROKEN).bind(self.case);
        let broken: i64 = broken.fetch_one(books).await.unwrap();
        assert_eq!(broken, 0, "each record is done, and each row has either a wait or messages");
    }
}

fn check(part: &Part, transition: &Transition, verdict: Verdict, saga: &SagaRow) {
    let (is_committed, told) = match verdict {
        Verdict::Committed { mail } => (true, mail),
        Verdict::Mail { mail } => (false, mail),
        Verdict::Lost => panic!("nobody else takes it up: {saga:?}"),
    };
    let done = i64::from(is_committed);
    assert_eq!((saga.commands, saga.mail), (done, saga.letters.len() as i64), "{saga:?}");
    assert_eq!(i64::from(saga.sequence), i64::from(transition.sequence) + done, "{saga:?}");
    assert_eq!(saga.entries, i64::from(saga.sequence), "{saga:?}");

    let got: Vec<_> = saga.letters.iter().map(|value| key(value)).collect();
    let without = |keys: &[&'static str]| -> Vec<_> {
        keys.iter().copied().filter(|key| !got.contains(key)).collect()
    };
    let (leased, ready, timers, waits) = match part.then {
        // It decides again.
        _ if !is_committed => {
            assert!(transition.settles && told > 0, "{saga:?}");
            (true, false, i64::from(!part.waited.is_empty()), without(part.waited))
        }
        Then::GoesOn => (true, false, 0, Vec::new()),
        Then::Ends => {
            assert_eq!(saga.mail, 0, "{saga:?}");
            (false, false, 0, Vec::new())
        }
        // A message was there already: the host was told, and keeps it.
        Then::Parks(_) if told > 0 => {
            assert!(saga.mail > 0, "{saga:?}");
            (true, false, 0, Vec::new())
        }
        Then::Parks(keys) => (false, saga.mail > 0, 1, without(keys)),
    };
    assert_eq!((saga.leased, saga.ready, saga.timers), (leased, ready, timers), "{saga:?}");
    assert_eq!(saga.waits, waits, "{saga:?}");
}
