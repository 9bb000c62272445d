drop function wasaga.input_digest(text, bytea);
drop table wasaga.tombstones;
drop table wasaga.timers, wasaga.children, wasaga.waits, wasaga.mail;
drop view wasaga.ledger;
drop table wasaga.journal, wasaga.sagas, wasaga.hosts;
drop function wasaga.journal_is_append_only();
drop function wasaga.at(bigint);
drop function wasaga.millis(timestamptz);
drop schema wasaga_guest;
