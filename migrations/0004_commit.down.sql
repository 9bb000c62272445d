drop function wasaga_guest.tasks_finish, wasaga_guest.sagas_commit, wasaga_guest.check_token;
drop function wasaga.dead_letters_handled, wasaga.task_in_end, wasaga.tasks_finish, wasaga.replies_deliver, wasaga.waits_register, wasaga.sagas_commit,
    wasaga.outbox_add, wasaga.others_lock, wasaga.starts_add, wasaga.posts_add, wasaga.hooks_add, wasaga.ends_tell, wasaga.ending,
    wasaga.grave_of, wasaga.ungraved, wasaga.post;
