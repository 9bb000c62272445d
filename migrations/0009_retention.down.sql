drop function wasaga.sagas_retire, wasaga.archive_drop, wasaga.archive_month;
drop table wasaga.retention, wasaga.archived_mail, wasaga.archived_journal, wasaga.archived_sagas;
