drop function wasaga.post_all, wasaga.works_on, wasaga.input_has;
alter table wasaga.sagas drop column needs_attention, drop column ended;
