/*
 * A guest of a hundred bytes that boots the way a Linux kernel does: SeaBIOS, QEMU's PVH option
 * ROM, 32-bit protected mode, paging, long mode. Then it works for 32 million rounds, writes one
 * byte to a port, and QEMU exits. It must never need anything that a stock guest does not.
 *
 * The work is the point. A paravirtual KVM on a machine without virtualization hardware passes all
 * mode switches, but interprets a stock guest's instructions one by one: some 400,000 rounds a
 * second against 300 million under TCG, so that a kernel seems to hang in its decompressor. Within
 * the probe's deadline such a KVM does not finish; real ones need a tenth of a second.
 */
#include "harness/host/probe_guest.h"

/* Physical memory: code at 1 MiB, page tables (one identity-mapped 2 MiB page) at 0x102000, a
 * scratch word at 0x105000. The note is XEN_ELFNOTE_PHYS32_ENTRY (18), which makes it PVH. QEMU
 * reads the first 8 KiB of a kernel file before it looks, hence the padding. */
__asm__(".pushsection .rodata\n"
	".globl probe_guest_image, probe_guest_image_end\n"
	".balign 8\n"
	"probe_guest_image:\n"
	"	.byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0\n"
	"	.quad 0\n"
	"	.short 2, 62\n" /* executable, x86-64 */
	"	.long 1\n"
	"	.quad 0x100000 + probe_entry - probe_code, 64, 0\n"
	"	.long 0\n"
	"	.short 64, 56, 2, 0, 0, 0\n"
	"	.long 1, 7\n" /* PT_LOAD */
	"	.quad probe_code - probe_guest_image, 0x100000, 0x100000\n"
	"	.quad probe_code_end - probe_code, 0x8000, 0x1000\n"
	"	.long 4, 4\n" /* PT_NOTE */
	"	.quad probe_note - probe_guest_image, 0, 0\n"
	"	.quad probe_note_end - probe_note, probe_note_end - probe_note, 4\n"
	"probe_note:\n"
	"	.long 4, 4, 18\n"
	"	.asciz \"Xen\"\n"
	"	.long 0x100000 + probe_entry - probe_code\n"
	"probe_note_end:\n"
	"	.balign 16\n"
	"probe_code:\n" /* starts with the descriptor table: null, 64-bit code, data */
	"	.quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff\n"
	"probe_gdtr:\n"
	"	.short 23\n"
	"	.long 0x100000\n"
	"	.code32\n"
	"probe_entry:\n"
	"	lgdt 0x100000 + probe_gdtr - probe_code\n"
	"	movl $0x103003, 0x102000\n"
	"	movl $0x104003, 0x103000\n"
	"	movl $0x83, 0x104000\n"
	"	mov $0x102000, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov %cr4, %eax\n"
	"	or $0x20, %eax\n" /* PAE */
	"	mov %eax, %cr4\n"
	"	mov $0xc0000080, %ecx\n" /* EFER.LME */
	"	rdmsr\n"
	"	or $0x100, %eax\n"
	"	wrmsr\n"
	"	mov %cr0, %eax\n"
	"	or $0x80000001, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmp $8, $0x100000 + probe_long_mode - probe_code\n"
	"	.code64\n"
	"probe_long_mode:\n"
	"	mov $32000000, %ecx\n"
	"1:	mov %rcx, 0x105000\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	mov $0x2a, %al\n"
	"	out %al, $0xf4\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	"probe_code_end:\n"
	"	.zero 8192\n"
	"probe_guest_image_end:\n"
	".popsection\n");
