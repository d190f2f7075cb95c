%% The options of reads, checked: the table, the time limit, how new what is read has to be. Called
%% by what makes requests for the user's call.
-module(ram_options).

-export([read/3, own/2, transaction/3, table/1, linearizable/1]).
-export_type([asked/0]).

%% Of a read: where, how new, and for how long to wait. `more': what the call knows besides.
-type asked() :: #{member := ram_nif:member(), table := binary(), name := atom(),
                   fresh := {ram:reads(), AtLeast :: non_neg_integer()},
                   timeout := timeout(), more := map()}.

%% @doc The options of a read, in the last argument of the call; `More' are checks of those that it
%% knows besides.
-spec read(term(), ram_arguments:checks(), ram_error:call()) -> asked().
read(Options, More, Call) ->
    {_, _, Configured} = ram_request:running(Call),
    Checks = More#{reads => fun ram_config:reads/1, at_least => fun check_revision/1},
    Checked = ram_arguments:call_options(Options, Checks, Call),
    Fresh = {maps:get(reads, Checked, Configured), maps:get(at_least, Checked, 0)},
    asked(Checked, Fresh, More, Call).

%% @doc A read of a table of ram itself, which calls of users cannot name: these options are right.
-spec own(#{table := atom(), reads => ram:reads(), at_least => non_neg_integer(),
            timeout => timeout()}, ram_error:call()) -> asked().
own(Options, Call) ->
    {_, _, Configured} = ram_request:running(Call),
    Fresh = {maps:get(reads, Options, Configured), maps:get(at_least, Options, 0)},
    asked(Options, Fresh, #{}, Call).

%% @doc The options of a transaction, which reads all tables, linearizably.
-spec transaction(term(), ram_arguments:checks(), ram_error:call()) -> asked().
transaction(Options, More, Call) ->
    {_, _, Configured} = ram_request:running(Call),
    Checks = More#{timeout => fun ram_arguments:timeout/1},
    Checked = ram_arguments:options(Options, Checks, Call),
    asked(Checked, {linearizable(Configured), 0}, More, Call).

asked(Checked, Fresh, More, Call) ->
    {Member, TimeoutMs, _} = ram_request:running(Call),
    Name = maps:get(table, Checked, default),
    #{member => Member, name => Name, table => table(Name), fresh => Fresh,
      timeout => maps:get(timeout, Checked, TimeoutMs),
      more => maps:with(maps:keys(More), Checked)}.

%% @doc Who may answer a read that a write depends on. An old value would do no harm, since it is
%% compared; but the fun of the caller would be called for it in vain.
-spec linearizable(ram:reads()) -> lease | quorum.
linearizable(local) -> quorum;
linearizable(Reads) -> Reads.

%% @doc As the library names the table.
-spec table(atom()) -> binary().
table(default) -> <<>>;
table(Name) -> atom_to_binary(Name).

check_revision(Revision) when is_integer(Revision), Revision > 0, Revision =< 1 bsl 53 -> ok;
check_revision(_Revision) -> {error, "must be a revision, a positive integer"}.
