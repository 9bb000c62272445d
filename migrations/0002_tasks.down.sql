drop table wasaga.next_offsets, wasaga.dead_letter_out, wasaga.dead_letter_in, wasaga.task_out, wasaga.task_in,
    wasaga.lanes;
