drop function wasaga_guest.task_in_finish, wasaga_guest.sagas_commit, wasaga_guest.check_token;
drop function wasaga.task_in_finish, wasaga.replies_deliver, wasaga.waits_register, wasaga.sagas_commit,
    wasaga.outbox_add;
