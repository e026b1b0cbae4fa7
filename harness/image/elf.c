/* Reads what an ELF file needs: see elf.h. Every offset is checked: the file is not trusted. */
#include "harness/image/elf.h"
#include "harness/base/fs.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAX_NEEDED 256

void elf_needs_deinit(struct elf_needs *needs)
{
	for (size_t i = 0; i < needs->count; i++)
		free(needs->libraries[i]);
	free(needs->libraries);
	free(needs->interpreter);
	*needs = (struct elf_needs){0};
}

struct view {
	const char *data;
	size_t size;
	const Elf64_Phdr *segments;
	size_t segment_count;
};

static const void *view_at(const struct view *view, uint64_t offset, uint64_t size)
{
	if (offset > view->size || size > view->size - offset)
		return NULL;
	return view->data + offset;
}

/* The string at a file offset, or NULL when it is not one inside the file. */
static const char *string_at(const struct view *view, uint64_t offset)
{
	const char *text = view_at(view, offset, 1);

	if (!text || !memchr(text, '\0', view->size - offset))
		return NULL;
	return text;
}

/* The file offset of a virtual address; past the end of the file when no segment holds it. */
static uint64_t offset_of_address(const struct view *view, uint64_t address)
{
	for (size_t i = 0; i < view->segment_count; i++) {
		const Elf64_Phdr *segment = &view->segments[i];

		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
			address - segment->p_vaddr < segment->p_filesz)
			return segment->p_offset + (address - segment->p_vaddr);
	}
	return UINT64_MAX;
}

static bool add_library(struct elf_needs *needs, const char *name)
{
	if (!name || needs->count == MAX_NEEDED)
		return false;
	if (!needs->libraries)
		needs->libraries = calloc(MAX_NEEDED, sizeof(char *));
	if (!needs->libraries)
		abort();
	needs->libraries[needs->count++] = format_string("%s", name);
	return true;
}

static bool read_dynamic(
	const struct view *view, const Elf64_Phdr *segment, struct elf_needs *needs)
{
	size_t count = segment->p_filesz / sizeof(Elf64_Dyn);
	const Elf64_Dyn *dynamic = view_at(view, segment->p_offset, count * sizeof(Elf64_Dyn));
	uint64_t strings = UINT64_MAX;

	if (!dynamic || segment->p_offset % 8 != 0)
		return false;
	for (size_t i = 0; i < count && dynamic[i].d_tag != DT_NULL; i++) {
		if (dynamic[i].d_tag == DT_STRTAB)
			strings = offset_of_address(view, dynamic[i].d_un.d_ptr);
	}
	for (size_t i = 0; i < count && dynamic[i].d_tag != DT_NULL; i++) {
		uint64_t offset = dynamic[i].d_un.d_val;

		if (dynamic[i].d_tag != DT_NEEDED)
			continue;
		if (strings > view->size || offset > view->size ||
			!add_library(needs, string_at(view, strings + offset)))
			return false;
	}
	return true;
}

static bool read_segments(struct view *view, struct elf_needs *needs)
{
	const Elf64_Ehdr *header = view_at(view, 0, sizeof(*header));

	view->segment_count = header->e_phnum;
	view->segments = view_at(view, header->e_phoff, view->segment_count * sizeof(Elf64_Phdr));
	if (!view->segments || header->e_phentsize != sizeof(Elf64_Phdr) ||
		header->e_phoff % 8 != 0)
		return false;
	for (size_t i = 0; i < view->segment_count; i++) {
		const Elf64_Phdr *segment = &view->segments[i];

		if (segment->p_type == PT_DYNAMIC && !read_dynamic(view, segment, needs))
			return false;
		if (segment->p_type != PT_INTERP || needs->interpreter)
			continue;
		const char *text = string_at(view, segment->p_offset);

		if (!text)
			return false;
		needs->interpreter = format_string("%s", text);
	}
	return true;
}

struct error *elf_read_needs(int fd, const char *name, struct elf_needs *needs)
{
	struct elf_needs found = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(errno, "cannot read %s", name);
	*needs = found;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return NULL;
	struct view view = {.size = (size_t)st.st_size};
	void *data = mmap(NULL, view.size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (data == MAP_FAILED)
		return error_errno(errno, "cannot read %s", name);
	const Elf64_Ehdr *header = data;

	view.data = data;
	found.is_elf = memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
		       header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_machine == EM_X86_64;
	bool good = !found.is_elf || read_segments(&view, &found);

	munmap(data, view.size);
	if (!good) {
		elf_needs_deinit(&found);
		return error_new(ERROR_SETUP, "%s is a damaged ELF file", name);
	}
	*needs = found;
	return NULL;
}
