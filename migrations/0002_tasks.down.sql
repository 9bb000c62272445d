drop table wasaga.next_offsets, wasaga.dead_letter_verbs, wasaga.dead_letter_out, wasaga.dead_letter_in, wasaga.task_out, wasaga.task_in,
    wasaga.lanes;
drop function wasaga.task_out_next_id, wasaga.dead_letter_ended, wasaga.task_in_find;
drop sequence wasaga.task_out_id_seq;
drop domain wasaga.attempts, wasaga.task_status;
