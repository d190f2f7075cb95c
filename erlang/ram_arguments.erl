%% Checks of the arguments of ram, called by ram and by what makes its requests: each returns what
%% is right, and raises badarg of the user's call for what is not, with the element, key or value
%% that is wrong.
-module(ram_arguments).

-export([nodes/2, nodes/3, not_a_node/3, entries/2, keys/2, each/5, file/2, argument/4, wrong/4]).
-export([options/3, call_options/3]).
%% Checks of options and arguments.
-export([table/1, timeout/1, retries/1, expected/1, count/1, integer/1, ttl/1, owner/1,
         one_of/1]).
-export([is_own_table/1]).

-export_type([checks/0, check/0]).

-compile({no_auto_import, [nodes/2]}).

%% The options that a call knows, each with its check.
-type checks() :: #{atom() => check()}.
-type check() :: fun((term()) -> ok | {error, Must :: unicode:chardata()}).

%% How much of a wrong term is printed.
-define(DEPTH, 12).
%% Ten years. TTL_MS_MAX of ram_limits.
-define(TTL_MS_MAX, 315360000000).

%% @doc A list of one node or more is the first argument; returned sorted, each node once.
-spec nodes(term(), ram_error:call()) -> [node()].
nodes(Nodes, Call) ->
    nodes("", Nodes, Call).

%% @doc `What' names the list where it is part of the first argument.
-spec nodes(What :: string(), term(), ram_error:call()) -> [node()].
nodes(What, [], Call) ->
    ram_error:badarg(Call, 1, What ++ "must name one node at least");
nodes(What, Nodes, Call) ->
    ok = each(fun erlang:is_atom/1, Nodes, 1, What ++ "must be a list of node names", Call),
    lists:usort(Nodes).

%% @doc An argument is not the name of a node.
-spec not_a_node(term(), pos_integer(), ram_error:call()) -> no_return().
not_a_node(Other, Position, Call) ->
    wrong(Call, Position, "must be a node name, and is ~0tP", [Other, ?DEPTH]).

-spec entries(term(), ram_error:call()) -> [{term(), term()}].
entries(Entries, Call) ->
    ok = each(fun is_pair/1, Entries, 1, "must be a list of {Key, Value}", Call),
    Entries.

-spec keys(term(), ram_error:call()) -> [term()].
keys(Keys, Call) ->
    ok = each(fun(_Key) -> true end, Keys, 1, "must be a list of keys", Call),
    Keys.

is_pair({_, _}) -> true;
is_pair(_) -> false.

%% @doc An argument is a list, and each element of it what it must be.
-spec each(fun((term()) -> boolean()), term(), Position :: pos_integer(),
           Must :: unicode:chardata(), ram_error:call()) -> ok.
each(Is, List, Position, Must, Call) when is_list(List) ->
    each(Is, List, 1, Position, Must, Call);
each(_Is, Other, Position, Must, Call) ->
    wrong(Call, Position, "~ts, and is ~0tP", [Must, Other, ?DEPTH]).

each(Is, [Element | Rest], N, Position, Must, Call) ->
    case Is(Element) of
        true -> each(Is, Rest, N + 1, Position, Must, Call);
        false -> wrong(Call, Position, "~ts; element ~b of it is ~0tP", [Must, N, Element, ?DEPTH])
    end;
each(_Is, [], _N, _Position, _Must, _Call) ->
    ok;
each(_Is, Tail, _N, Position, Must, Call) ->
    wrong(Call, Position, "~ts; this one has the improper tail ~0tP", [Must, Tail, ?DEPTH]).

%% @doc The name of a file is the first argument; returned as an absolute path.
-spec file(term(), ram_error:call()) -> binary().
file(File, Call) ->
    try unicode:characters_to_binary(filename:absname(File)) of
        Path when is_binary(Path) -> Path;
        _NoText -> ram_error:badarg(Call, 1, "must be a file name in Unicode")
    catch
        error:_ -> wrong(Call, 1, "must be a file name, and is ~0tP", [File, ?DEPTH])
    end.

%% @doc An argument passes its check.
-spec argument(term(), Position :: pos_integer(), check(), ram_error:call()) -> ok.
argument(Argument, Position, Check, Call) ->
    case Check(Argument) of
        ok -> ok;
        {error, Must} -> wrong(Call, Position, "~ts, and is ~0tP", [Must, Argument, ?DEPTH])
    end.

-spec table(term()) -> ok | {error, string()}.
table(Name) when is_atom(Name), Name =/= '' ->
    case is_own_table(atom_to_binary(Name)) of
        true -> {error, "must not begin with $ram_, as the tables of ram itself do"};
        false -> ok
    end;
table(_) -> {error, "must be the name of a table, an atom"}.

%% @doc Whether it is the name of a table of ram itself (`ram_own_table'), which no call of a user
%% may name.
-spec is_own_table(binary()) -> boolean().
is_own_table(<<"$ram_", _/binary>>) -> true;
is_own_table(_Name) -> false.

%% The longest is that of a receive.
-spec timeout(term()) -> ok | {error, string()}.
timeout(infinity) -> ok;
timeout(Ms) when is_integer(Ms), Ms >= 0, Ms =< 16#FFFFFFFF -> ok;
timeout(_) -> {error, "must be infinity, or milliseconds, an integer of 0 to 4294967295"}.

-spec retries(term()) -> ok | {error, string()}.
retries(infinity) -> ok;
retries(Retries) when is_integer(Retries), Retries >= 0 -> ok;
retries(_) -> {error, "must be infinity, or an integer of 0 or more"}.

-spec expected(term()) -> ok | {error, string()}.
expected(AbsentOrPresent) when AbsentOrPresent =:= absent; AbsentOrPresent =:= present -> ok;
expected({value, _Value}) -> ok;
expected({rev, Revision}) when is_integer(Revision), Revision > 0, Revision =< 1 bsl 53 -> ok;
expected(_) -> {error, "must be absent, present, {rev, Rev} or {value, Value}"}.

-spec count(term()) -> ok | {error, string()}.
count(Increment) when is_integer(Increment) -> ok;
count({Increment, Threshold, SetTo})
  when is_integer(Increment), is_integer(Threshold), is_integer(SetTo) -> ok;
count(_) -> {error, "must be an integer, or {Increment, Threshold, SetTo} of integers"}.

-spec integer(term()) -> ok | {error, string()}.
integer(Integer) when is_integer(Integer) -> ok;
integer(_) -> {error, "must be an integer"}.

-spec ttl(term()) -> ok | {error, string()}.
ttl(infinity) -> ok;
ttl(Ms) when is_integer(Ms), Ms >= 1, Ms =< ?TTL_MS_MAX -> ok;
ttl(_) -> {error, lists:concat(["must be infinity, or milliseconds, an integer of 1 to ",
                                ?TTL_MS_MAX])}.

-spec owner(term()) -> ok | {error, string()}.
owner(Pid) when is_pid(Pid) -> ok;
owner(Node) when is_atom(Node), Node =/= none, Node =/= undefined -> ok;
owner(_) -> {error, "must be a process or a node, a pid or the name of a node"}.

-spec one_of([atom()]) -> check().
one_of(Known) ->
    fun(Value) ->
            case lists:member(Value, Known) of
                true -> ok;
                false -> {error, ["must be ", lists:join(" or ", [atom_to_list(K) || K <- Known])]}
            end
    end.

%% @doc The options of a call on keys: beside its own it knows `table' and `timeout'.
-spec call_options(term(), checks(), ram_error:call()) -> map().
call_options(Options, Checks, Call) ->
    options(Options, Checks#{table => fun table/1, timeout => fun timeout/1}, Call).

%% @doc A map of options is the last argument.
-spec options(term(), checks(), ram_error:call()) -> map().
options(Options, Checks, Call) when is_map(Options) ->
    Position = length(ram_error:arguments(Call)),
    _ = [ok = option(Key, Value, Checks, Position, Call)
         || {Key, Value} <- maps:to_list(Options)],
    Options;
options(Other, Checks, Call) ->
    wrong(Call, length(ram_error:arguments(Call)), "must be a map of options (~ts), and is ~0tP",
          [known(Checks), Other, ?DEPTH]).

option(Key, Value, Checks, Position, Call) ->
    case Checks of
        #{Key := Check} ->
            case Check(Value) of
                ok -> ok;
                {error, Must} ->
                    wrong(Call, Position, "the option ~ts ~ts, and is ~0tP",
                          [Key, Must, Value, ?DEPTH])
            end;
        #{} ->
            wrong(Call, Position, "~0tP is no option of this call; it knows ~ts",
                  [Key, ?DEPTH, known(Checks)])
    end.

known(Checks) ->
    lists:join(", ", [atom_to_list(Key) || Key <- lists:sort(maps:keys(Checks))]).

%% @doc Raises badarg for an argument, in these words.
-spec wrong(ram_error:call(), pos_integer(), string(), [term()]) -> no_return().
wrong(Call, Position, Format, Arguments) ->
    ram_error:badarg(Call, Position, io_lib:format(Format, Arguments)).
