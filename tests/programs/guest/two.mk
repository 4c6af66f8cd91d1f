all: one two
	@cat one two | tr a-z A-Z
one two: %: %.in
	@cp $< $@
%.in:
	@echo $* >$@
.SECONDARY:
