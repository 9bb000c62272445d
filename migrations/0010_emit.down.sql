drop view wasaga.outbox;
drop function wasaga.key_text, wasaga.accept, wasaga.emit_many, wasaga.emit, wasaga.task_out_emit,
    wasaga.cloud_event_headers, wasaga.rollback_of, wasaga.message_bytes, wasaga.headers_check,
    wasaga.members_check, wasaga.length_check, wasaga.from_base64, wasaga.dead_letters_send,
    wasaga.task_out_handled, wasaga.task_out_give_up, wasaga.task_out_waiting;
drop table wasaga.accepted, wasaga.emitted;
alter table wasaga.task_out drop column max_attempts, drop column event_type, drop column aggregate_id;
drop domain wasaga.max_attempts;
