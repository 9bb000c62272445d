drop function wasaga_guest.snapshot_save, wasaga_guest.events_append, wasaga_guest.events_load;
drop function wasaga.stream_tail, wasaga.stream_version, wasaga.event_plugin;
drop table wasaga.snapshots, wasaga.events;
alter table wasaga.plugin_roles drop column event_store;
