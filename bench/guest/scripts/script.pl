# Hashes, regular expressions, sorting, sprintf.
my ($s, %h, @l) = (1);
for my $i (1 .. $ARGV[0]) {
  $s = ($s * 31 + $i) % 1000003;
  $h{"k" . $s % 977}++;
  push @l, sprintf("%06d:%s", $s, reverse $s) if $i % 7 == 0;
}
my $n = grep { /^0*(\d)\d*\1:/ } @l;
my $t = join ",", map { s/(\d)(\d)/$2$1/gr } (sort { $a cmp $b } @l)[0 .. 9];
print "$s ", scalar(keys %h), " $n $t\n";
