%% Optimistic transactions: a fun reads at one revision and gathers writes; one log entry makes the
%% writes if nothing that it read has changed, else the fun runs again. Called by ram, and by ram_tx
%% for the fun.
%%
%% So a transaction has happened at the moment of its entry: what it read is what was there then.
%% Keys are proven unchanged by their revision, or as still absent; a range by the count of its
%% entries and that none of them is newer, so there are no phantoms. One that only read has happened
%% when it began, which was a linearizable read, and writes no entry. (Kung and Robinson, "On
%% Optimistic Methods for Concurrency Control", 1981, with backward validation in the state
%% machine.)
%%
%% The state of a transaction is in the dictionary of the process that runs it.
-module(ram_transaction).

-export([run/2, is_running/0]).
-export([fetch/3, put/4, delete/3, range/5, abort/2]).
-export_type([tx/0]).

-define(RETRIES, 16).
%% The longest time that a process can wait, of 49 days.
-define(FOREVER_MS, 16#FFFFFFFF).

-opaque tx() :: {ram_tx, reference()}.

-type call() :: ram_error:call().
%% In the order of keys: their encoding is theirs.
-type writes() :: #{Table :: binary() =>
                        #{Encoded :: binary() =>
                              {Key :: term(), {put, term(), Beside :: list()} | delete}}}.

-record(state, {member :: ram_nif:member(),
                %% For what the fun asks of other nodes.
                limit_ms :: non_neg_integer(),
                scan :: reference(),
                revision :: pos_integer(),
                %% What was read of the tables, as conditions of the write.
                reads = #{} :: #{{binary(), binary()} => ram_nif:condition()},
                ranges = [] :: [ram_nif:condition()],
                writes = #{} :: writes()}).

-spec run(fun((tx()) -> R), [map()]) -> {ok, R} | {aborted, term()}.
run(Fun, Options) ->
    Call = {transaction, [Fun | Options]},
    is_function(Fun, 1)
        orelse ram_arguments:wrong(Call, 1, "must be a fun of one argument, and is ~0tP",
                                   [Fun, 12]),
    is_running() andalso
        ram_error:badarg(Call, 1, "is called inside of a transaction, which cannot be"),
    Checks = #{retries => fun check_retries/1},
    Asked = ram_options:transaction(options(Options), Checks, Call),
    #{timeout := TimeoutMs, more := More} = Asked,
    attempt(Fun, maps:get(retries, More, ?RETRIES), deadline(TimeoutMs), Asked, Call).

attempt(Fun, Retries, Deadline, Asked, Call) ->
    #{member := Member} = Timed = Asked#{timeout => left_ms(Deadline)},
    {Member, Scan, Revision} = ram_scan:open(all, Timed, Call),
    Tx = {ram_tx, make_ref()},
    State = #state{member = Member, limit_ms = min(left_ms(Deadline), ?FOREVER_MS), scan = Scan,
                   revision = Revision},
    try run_once(Fun, Tx, State) of
        {done, Result, After} ->
            case commit(After, left_ms(Deadline), Call) of
                ok -> {ok, Result};
                conflict when Retries =:= 0 -> {aborted, conflict};
                conflict -> attempt(Fun, Retries - 1, Deadline, Asked, Call)
            end;
        {aborted, _Reason} = Aborted ->
            Aborted;
        %% Too much has changed since: as if it had been seen at the end.
        expired when Retries =:= 0 ->
            {aborted, conflict};
        expired ->
            attempt(Fun, Retries - 1, Deadline, Asked, Call)
    after
        ram_nif:scan_close(Scan)
    end.

run_once(Fun, {ram_tx, Ref} = Tx, State) ->
    put(?MODULE, {Ref, State}),
    try Fun(Tx) of
        Result ->
            {Ref, After} = get(?MODULE),
            {done, Result, After}
    catch
        throw:{?MODULE, Ref, abort, Reason} -> {aborted, Reason};
        throw:{?MODULE, Ref, expired} -> expired
    after
        erase(?MODULE)
    end.

commit(#state{writes = Writes}, _LeftMs, _Call) when map_size(Writes) =:= 0 ->
    ok;
commit(#state{member = Member, reads = Reads, ranges = Ranges, writes = Writes}, LeftMs, Call) ->
    Commands = [command(Table, Write) || {Table, Of} <- maps:to_list(Writes),
                                         {_, Write} <- maps:to_list(Of)],
    Conditions = maps:values(Reads) ++ Ranges,
    ram_txn:check_parts(Conditions, Commands, Call),
    LimitMs = min(LeftMs, ?FOREVER_MS),
    case ram_write:run({Member, LimitMs, <<>>}, Conditions, Commands, []) of
        {ran, true, _Revision, _} -> ok;
        {ran, false, _Revision, _} -> conflict;
        {error, Reason} -> ram_write:failed(Reason, Commands, Call)
    end.

command(Table, {Key, {put, Value, Beside}}) ->
    list_to_tuple([put, Table, Key, term_to_binary(Value) | Beside]);
command(Table, {Key, delete}) -> {delete, Table, Key}.

deadline(infinity) -> infinity;
deadline(Ms) -> erlang:monotonic_time(millisecond) + Ms.

left_ms(infinity) -> infinity;
left_ms(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%% @doc Whether the calling process runs the fun of a transaction.
-spec is_running() -> boolean().
is_running() ->
    get(?MODULE) =/= undefined.

%%% What the fun may do

-spec fetch(tx(), term(), {[map()], call()}) -> {ok, term()} | error.
fetch(Tx, Key, {Options, Call}) ->
    #state{writes = Writes} = State = state(Tx, Call),
    Table = table(options(Options, #{}, Call)),
    Encoded = encoded(Key, 2, Call),
    case Writes of
        #{Table := #{Encoded := {_, {put, Value, _Beside}}}} -> {ok, Value};
        #{Table := #{Encoded := {_, delete}}} -> error;
        #{} -> read(Tx, State, Table, {Key, Encoded}, Call)
    end.

read(Tx, State, Table, {Key, Encoded}, Call) ->
    #state{member = Member, scan = Scan, reads = Reads} = State,
    {Condition, Answer} =
        case ram_nif:scan_get(Member, {Scan, Table}, Key) of
            none -> {absent, error};
            {value, Value, {Revision, _, _, _, _}} -> {{rev, '=', Revision}, {ok, Value}};
            {encoded, Binary, {Revision, _, _, _, _}} ->
                {{rev, '=', Revision}, {ok, ram_request:decoded(Binary, Key, Call)}};
            Other -> failed(Tx, Other, Table, Call)
        end,
    keep(Tx, State#state{reads = Reads#{{Table, Encoded} => {Table, Key, Condition}}}),
    Answer.

-spec put(tx(), term(), term(), {[map()], call()}) -> ok.
put(Tx, Key, Value, {Options, Call}) ->
    #state{member = Member, limit_ms = LimitMs} = state(Tx, Call),
    Checked = options(Options, ram_owned:options(#{}), Call),
    Position = length(ram_error:arguments(Call)),
    Beside = ram_owned:beside(Checked, {Member, LimitMs}, Position, "", Call),
    write(Tx, Key, {put, Value, Beside}, {Checked, Call}).

-spec delete(tx(), term(), {[map()], call()}) -> ok.
delete(Tx, Key, {Options, Call}) ->
    write(Tx, Key, delete, {options(Options, #{}, Call), Call}).

write(Tx, Key, Change, {Checked, Call}) ->
    #state{scan = Scan, writes = Writes} = State = state(Tx, Call),
    Table = table(Checked),
    Encoded = encoded(Key, 2, Call),
    case ram_nif:scan_type(Scan, Table) of
        Missing when Missing =:= no_table; Missing =:= expired ->
            failed(Tx, Missing, Table, Call);
        _Type ->
            OfTable = maps:get(Table, Writes, #{}),
            keep(Tx, State#state{writes = Writes#{Table => OfTable#{Encoded => {Key, Change}}}})
    end.

%% @doc What was there, with the changes of the transaction.
-spec range(tx(), term(), term(), map(), call()) -> [term()].
range(Tx, From, To, Options, Call) ->
    #state{scan = Scan} = State = state(Tx, Call),
    Checked = ram_arguments:options(Options, ram_scan:range_checks(), Call),
    Table = ram_options:table(maps:get(table, Checked, default)),
    case ram_nif:scan_type(Scan, Table) of
        ordered_set -> ok;
        set -> ram_scan:not_ordered(maps:get(table, Checked, default), Call);
        Missing -> failed(Tx, Missing, Table, Call)
    end,
    Items = case ram_scan:bounds(From, To) of
                empty ->
                    [];
                {at_end, Reverse} ->
                    One = Checked#{reverse => Reverse, limit => 1},
                    items(Tx, State, Table, {unbounded, unbounded}, One, Call);
                Bounds ->
                    items(Tx, State, Table, Bounds, Checked, Call)
            end,
    case maps:get(keys_only, Checked, false) of
        true -> [Key || {Key, _Value} <- Items];
        false -> Items
    end.

items(Tx, #state{writes = Writes} = State, Table, {Lower, Upper} = Bounds, Options, Call) ->
    {From, To} = {encoded_bound(Lower, 2, Call), encoded_bound(Upper, 3, Call)},
    Own = [{Encoded, Write} || {Encoded, Write} <- maps:to_list(maps:get(Table, Writes, #{})),
                               From =:= unbounded orelse Encoded >= From,
                               To =:= unbounded orelse Encoded =< To],
    Reverse = maps:get(reverse, Options, false),
    Limit = maps:get(limit, Options, infinity),
    {Found, Seen} = found(Tx, State, Table, {Bounds, Reverse, needed(Limit, length(Own))}, Call),
    keep(Tx, State#state{ranges = [Seen | State#state.ranges]}),
    Merged = merged(Found, Own, Reverse),
    case Limit of
        infinity -> Merged;
        _ -> lists:sublist(Merged, Limit)
    end.

%% Own deletes hide some of what is found.
needed(infinity, _Own) -> infinity;
needed(Limit, Own) -> Limit + Own.

encoded_bound(unbounded, _Position, _Call) -> unbounded;
encoded_bound({including, Key}, Position, Call) -> encoded(Key, Position, Call).

%% The items, and the condition that they are still all there is.
found(Tx, #state{scan = Scan, member = Member, revision = Revision}, Table,
      {{Lower, Upper} = Bounds, Reverse, Need}, Call) ->
    {Items, Next} = pages(Tx, {Member, {Scan, Table}, Bounds, Reverse}, start, Need, [], Call),
    Seen = case {Next, Reverse} of
               {done, _} -> Bounds;
               {_, false} -> {Lower, {including, element(1, lists:last(Items))}};
               {_, true} -> {{including, element(1, lists:last(Items))}, Upper}
           end,
    {Items, {unchanged, Table, Seen, Revision, length(Items)}}.

pages(_Tx, _Of, Cursor, Need, Pages, _Call) when Need =:= 0; Cursor =:= done ->
    {lists:append(lists:reverse(Pages)), Cursor};
pages(Tx, {Member, {_, Table} = Scanned, Bounds, Reverse} = Of, Cursor, Need, Pages, Call) ->
    Size = min(Need, 1000),
    case ram_nif:scan_page(Member, Scanned, Cursor, Bounds, {Reverse, false, Size}) of
        {items, Items, Next} ->
            pages(Tx, Of, Next, less(Need, length(Items)), [Items | Pages], Call);
        {mixed, Items, Next} ->
            Decoded = ram_scan:decoded(Items, Call),
            pages(Tx, Of, Next, less(Need, length(Items)), [Decoded | Pages], Call);
        Other ->
            failed(Tx, Other, Table, Call)
    end.

less(infinity, _Count) -> infinity;
less(Need, Count) -> Need - Count.

merged(Found, [], _Reverse) ->
    Found;
merged(Found, Own, Reverse) ->
    Base = [{ram_nif:key_encode(Key), {Key, {put, Value, []}}} || {Key, Value} <- Found],
    All = maps:merge(maps:from_list(Base), maps:from_list(Own)),
    Sorted = [{Key, Value}
              || {_, {Key, {put, Value, _Beside}}} <- lists:keysort(1, maps:to_list(All))],
    case Reverse of
        true -> lists:reverse(Sorted);
        false -> Sorted
    end.

-spec abort(tx(), term()) -> no_return().
abort({ram_tx, Ref} = Tx, Reason) ->
    _ = state(Tx, {ram_tx, abort, [Tx, Reason]}),
    throw({?MODULE, Ref, abort, Reason}).

%%% The state

state({ram_tx, Ref}, Call) ->
    case get(?MODULE) of
        {Ref, State} -> State;
        _Other -> no_transaction(Call)
    end;
state(_Other, Call) ->
    no_transaction(Call).

-spec no_transaction(call()) -> no_return().
no_transaction(Call) ->
    ram_error:badarg(Call, 1, "must be the transaction whose fun is running in this process").

keep({ram_tx, Ref}, State) ->
    put(?MODULE, {Ref, State}),
    ok.

options([], _Checks, _Call) ->
    #{};
options([Given], Checks, Call) ->
    ram_arguments:options(Given, Checks#{table => fun ram_arguments:table/1}, Call).

table(Checked) ->
    ram_options:table(maps:get(table, Checked, default)).

encoded(Key, Position, Call) ->
    try ram_nif:key_encode(Key)
    catch error:badarg -> ram_error:badarg(Call, Position, "must not hold a local fun")
    end.

-spec failed(tx(), term(), binary(), call()) -> no_return().
failed({ram_tx, Ref}, expired, _Table, _Call) ->
    throw({?MODULE, Ref, expired});
failed(_Tx, no_table, Table, Call) ->
    ram_lookup:checked({error, {no_table, Table}}, Call);
failed(_Tx, Failed, _Table, Call) ->
    ram_lookup:checked(Failed, Call).

options([]) -> #{};
options([Options]) -> Options.

check_retries(Retries) when is_integer(Retries), Retries >= 0 -> ok;
check_retries(_Retries) -> {error, "must be a number of runs after the first, 0 or more"}.
