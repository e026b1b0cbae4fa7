#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# Bad input of every kind ends with status 1, one message that names the thing, and a remedy.
. ci/scenario-lib.sh

is_refused() { exited 1 && err_has "$1" && has_remedy && not err_has 'trial 1 of'; }

# Each row: what the message must hold | the words.
while IFS='|' read -r pattern words; do
	[ -n "$pattern" ] || continue
	# shellcheck disable=SC2086
	fl $words
	check "fleetlab $words" is_refused "$pattern"
done <<'ROWS'
no command 'rnu'|rnu
'--bogus'|--bogus
no mechanism 'elephant'|run elephant
try: fleetlab run null|run nul
no parameter 'bas_us'|run null -p bas_us=3
name=value|run null -p base_us
from 100 to 1000000 us|run null -p base_us=1
'abc'|run null -p base_us=abc
one of: *plain|run null -p behaviour=explode
effect=2: this parameter tells the variants|run null -p effect=2
try: --variant delay|run null --variant dela
try: --experiment effect|run null -e efect
--variant none and --variant delay|run null --variant none --variant delay
--experiment boot and --experiment effect|run null -e boot -e effect
--only N1 and --only N2|run null --only N1 --only N2
--budget 5m: the night has an end|nightly --mechanisms null --until 06:00 --budget 5m
--until 06:00: the night has an end|nightly --mechanisms null --budget 5m --until 06:00
no claim 'N99'|run null --only N99
run shmipc --only C1|run null --only C1
--profile paper has it|run zerocopy --only D8
libdedup.*not in this build|run --only A1
C4.*no result|run --only C4
no profile 'smok'|run null --profile smok
--seed -3|run null --seed -3
--budget soon|run null --budget soon
--budget -5s|run null --budget -5s
--wait x|run null --wait x
'--frob'|run null --frob
'--budget'|run null --budget
no unfinished run 'nope'|run --resume=nope
no mechanism 'null'|run --resume null
4197376 MiB|run null --profile smoke -e boot -p memory_mib=65536 -p guests=64
image tiny needs 128 MiB|run null --profile smoke -e boot -p memory_mib=64
no claim 'C99'|show C99
'elephant'|show elephant
try: fleetlab list mechanisms|list elephants
'runs'|list claims runs
no run 'nope'|report nope
not 2|report a b
'xls'|report --format xls
'C99'|report --claim C99
'Z'|report --paper Z
/no/such.json|report /no/such.json
no run 'x'|compare x y
got 1|compare latest
'upp'|fleet upp
up, list, exec|fleet
how many guests|fleet up
how many guests|fleet up four
how many guests|fleet up 251
kind 'tinny'|fleet up 1 --image tinny
--memory lots|fleet up 1 --memory lots
--memory gives 8 MiB|fleet up 1 --memory 8M
828800 MiB|fleet up 200 --memory 4G
--vcpus x|fleet up 1 --vcpus x
'A_B'|fleet up 1 --name A_B
--timeout never|fleet up 1 --timeout never
which guest|fleet exec
no fleet 'default'|fleet exec g0 -- true
no fleet 'nope'|fleet exec --name nope g0 -- true
no fleet 'default'|fleet console g0
no fleet 'nope'|fleet down --name nope
'x'|fleet list x
kind 'elephant'|image build elephant
no image 'nope'|image show nope
no image 'nope'|image rm nope
/no/such.qcow2|image build --from /no/such.qcow2
'x'|gc x
'x'|index x
'/no/such': there is no such directory|index --results /no/such
'/no/such': there is no such directory|serve --results /no/such
'/no/such': there is no such directory|report --results /no/such
'/no/such': there is no such directory|list --results /no/such
'/no/such': there is no such directory|compare --results /no/such a b
--wait soon|index --wait soon
a run|export
no run 'x'|export x
a file or a directory|import
/no/such|import /no/such
number and a directory|synthetic 3
'x'|doctor x
ROWS
check 'nothing was started' nothing_runs
fl index --results "$SCRATCH/mistyped"
check 'nor is a store made that was mistyped' [ ! -e "$SCRATCH/mistyped" ]

fl
check 'no command: status 1, and what there is' err_has '^ *fleetlab doctor'
fl run null null --profile smoke -e evidence
check 'a mechanism named twice runs once' out_has '4 planned, 4 ended'

# Standard output that is full
"$FLEETLAB" list >/dev/full 2>"$SCRATCH/err"
status=$?
last='fleetlab list >/dev/full'
check 'a result that cannot be written is an error' exited 1

# Closed descriptors: nothing that is opened takes their place
"$FLEETLAB" doctor <&- >"$SCRATCH/out" 2>"$SCRATCH/err"
status=$?
last='fleetlab doctor <&-'
check 'without a standard input programs start all the same' out_has '^ok *qemu features'
"$FLEETLAB" run null --profile smoke -e evidence <&- >&- 2>&-
status=$?
last='fleetlab run null <&- >&- 2>&-'
check 'a result for nobody is an error' exited 1

# QEMU: missing, not QEMU, too old
mkdir "$SCRATCH/bin"
for program in /usr/sbin/* /usr/bin/* /sbin/* /bin/*; do
	case $program in
	*/qemu-system-*) ;;
	*) ln -sf "$program" "$SCRATCH/bin/" ;;
	esac
done
path=$PATH
PATH=$SCRATCH/bin
for words in 'run null --profile smoke' 'fleet up 1' 'run shmipc'; do
	# shellcheck disable=SC2086
	fl $words
	check "without QEMU: $words" is_refused 'QEMU is missing'
done
fl doctor
check 'doctor says so' out_has 'FAIL.*QEMU is missing'
fake() {
	printf '#!/bin/sh\n%s\n' "$1" >"$SCRATCH/bin/qemu-system-x86_64"
	chmod +x "$SCRATCH/bin/qemu-system-x86_64"
}
fake 'echo garbage'
fl run null --profile smoke
check 'a QEMU that is none' is_refused 'printed no version of QEMU'
fl fleet up 1
check 'for a fleet, too' is_refused 'printed no version of QEMU'
fl doctor
check 'doctor: exit status 1' exited 1
fake 'echo "QEMU emulator version 4.2.0 (Debian)"'
fl run null --profile smoke
check 'a QEMU that is too old' is_refused '4.2.0, older than'
fl fleet up 1
check 'for a fleet, too' is_refused '4.2.0, older than'
fake 'case "$*" in *--version*) echo "QEMU emulator version 7.2.22";; *) echo "no such machine" >&2; exit 1;; esac'
fl fleet up 1
check 'a QEMU that starts nothing' is_refused 'cannot boot a probe guest'
PATH=$path
check 'nothing of that stays' nothing_runs

# A cache of its own: built without network from downloaded packages; damaged; used again.
real=${FLEETLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fleetlab}
mkdir "$SCRATCH/cache"
cp -r "$real/packages" "$SCRATCH/cache/"
cp "$real/accelerator.json" "$SCRATCH/cache/"
FLEETLAB_CACHE=$SCRATCH/cache
export FLEETLAB_CACHE
fl image build tiny
check 'an image is built without network' exited 0
initrd=$(find "$FLEETLAB_CACHE/images" -name 'initr*' -o -name '*.cpio' | head -n 1)
check 'it has an initramfs' [ -s "$initrd" ]
printf '\377' | dd of="$initrd" bs=1 seek=5000 conv=notrunc status=none
cp "$initrd" "$SCRATCH/damaged"
fl image list
check 'listing a damaged cache works' exited 0
fl fleet up 1 --memory 128M
check 'a flipped byte is noticed, the image is built anew, the guest comes up' exited 0
fl fleet exec g0 -- hostname
check 'and answers' out_has '^g0$'
fl fleet down
cmp -s "$SCRATCH/damaged" "$initrd"
check 'its place is empty, or holds a whole one' [ $? != 0 ]
# Nowhere to build
touch "$SCRATCH/file"
FLEETLAB_CACHE=$SCRATCH/file
fl image build tiny
check 'a cache that is a file' is_refused "$SCRATCH/file"
finish
