drop function wasaga.steps_needed;
drop function wasaga.canary_count;
drop function wasaga.canary_end;
drop function wasaga.canary_figures;
drop function wasaga.canary_plan;
drop table wasaga.canary_calls, wasaga.canaries, wasaga.activation_history;
drop function wasaga.activation_history_is_append_only;
alter table wasaga.activations drop column undo_digest;
