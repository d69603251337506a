import type { SandboxView } from './sandbox-view.ts';

/**
 * Restricts its own process with Landlock, then becomes the program. In Perl, which each Debian has, since Node cannot run code
 * between fork and exec. The numbers are the same on each processor; what they mean: linux/landlock.h.
 */
export const LANDLOCK_SCRIPT = `
sub fail { print STDERR "landlock: $_[0]: $!\\n"; exit 125 }
my $version = syscall(444, 0, 0, 1);
fail('this kernel has none') if $version < 1;
my $files = (1 << 13) - 1;
$files |= 1 << 13 if $version >= 2;
$files |= 1 << 14 if $version >= 3;
$files |= 1 << 15 if $version >= 5;
my $read = 1 << 2 | 1 << 3;
my %rights = (x => 1 | $read, r => $read, d => $read | 1 << 1 | 1 << 15, w => $read | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 14);
my $network = shift(@ARGV) eq 'network';
my $size = $version >= 6 ? 24 : $version >= 4 ? 16 : 8;
my $attributes = pack('QQQ', $files, $network ? 0 : 3, 3);
my $rules = syscall(444, $attributes, $size, 0);
fail('rules') if $rules < 0;
while (@ARGV) {
  my $rule = shift(@ARGV);
  last if $rule eq '--';
  my ($kind, $path) = split(/:/, $rule, 2);
  sysopen(my $file, $path, 0x200000) or next;
  my $right = $rights{$kind} & $files;
  $right &= 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15 unless -d $path;
  my $beneath = pack('Ql', $right, fileno($file));
  fail($path) if syscall(445, $rules, 1, $beneath, 0) != 0;
}
fail('restriction') if syscall(446, $rules, 0) != 0;
exec { $ARGV[0] } @ARGV;
fail($ARGV[0]);
`;

/** Returns the arguments of the script up to the program: whether the network is open, then a right and a path each. */
export function landlockRules({ programs, reads, devices, kernel, writes, network }: SandboxView): string[] {
  return [
    network ? 'network' : 'local',
    ...programs.map((path) => `x:${path}`),
    ...[...kernel, ...reads].map((path) => `r:${path}`),
    ...devices.map((path) => `d:${path}`),
    ...writes.map((path) => `w:${path}`),
    '--',
  ];
}
