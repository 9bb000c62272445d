module wasaga.local/guest

go 1.24
