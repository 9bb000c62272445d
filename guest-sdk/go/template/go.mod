module {{name}}

go 1.24

require wasaga.local/guest v0.0.0

replace wasaga.local/guest => ./sdk/go
