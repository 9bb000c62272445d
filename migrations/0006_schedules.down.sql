drop table wasaga.schedules;
