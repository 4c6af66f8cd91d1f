use strict;
use warnings;
my %words;
open my $in, '<', '/etc/services' or die "cannot open: $!";
while (<$in>) {
  next unless /^(\w[\w-]*)\s+(\d+)\/(tcp|udp)/;
  push @{$words{$3}}, [$2, $1];
}
for my $protocol (sort keys %words) {
  my @sorted = sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] } @{$words{$protocol}};
  printf "%s %d %s\n", $protocol, scalar @sorted, join ',', map { "$_->[1]=$_->[0]" } @sorted[0 .. 4];
}
my ($x, $y) = (0, 0);
for (1 .. 5000) { $x += sin($_) / $_; $y = ($y * 31 + ord(chr($_ % 96 + 32))) % 1000003 }
printf "%.14f %d\n", $x, $y;
print join(' ', unpack('(H2)*', pack('w/a N n C d>', "len", 1, 2, 3, 1.5))), "\n";
local $SIG{ALRM} = sub { print "alarm\n" };
alarm 1;
select undef, undef, undef, 3;
print scalar reverse("done"), "\n";
