%% Performs the operations of ram_model on a node: makes funs of data, and revisions of numbers that
%% are counted from the one at which a run began; and of what ram answers the answer of the model,
%% for which no time passes.
-module(ram_model_call).

-export([perform/2, empty/1, not_refused/1]).

%% So many revisions no run makes.
-define(AHEAD, 1000000).

-type base() :: ram:rev().

%% @doc Leaves these tables, empty, and the default one; returns the revision then.
-spec empty(#{atom() => set | ordered_set}) -> base().
empty(Tables) ->
    [ok = ram:drop_table(Table) || Table <- ram:tables(), Table =/= default],
    [ok = ram:create_table(Table, #{type => Type}) || {Table, Type} <- maps:to_list(Tables)],
    ok = ram:delete_many(ram:keys()),
    {true, [], Rev} = ram:txn([], [], []),
    Rev.

%% @doc Of these wrong calls those that are not refused with an explanation, or change something.
-spec not_refused([ram_model:operation()]) -> [{ram_model:operation(), term()}].
not_refused(Wrong) ->
    Before = all_there_is(),
    Answers = [{Call, perform(1, Call)} || Call <- Wrong],
    Told = [Answered || {_, Answer} = Answered <- Answers, Answer =/= badarg_is_explained],
    case all_there_is() of
        Before -> Told;
        After -> [{Wrong, {changed, Before, After}} | Told]
    end.

all_there_is() ->
    Tables = ram:tables(),
    {ram:txn([], [], []), [{Table, lists:sort(ram:to_list(#{table => Table}))} || Table <- Tables]}.

-spec perform(base(), ram_model:operation()) -> term().
perform(_Base, {wrong, Function, Arguments, Word}) ->
    refused(ram, Function, Arguments, Word);
perform(_Base, {wrong_inside, Function, Arguments, Word}) ->
    {ok, Told} = ram:transaction(fun(Tx) -> refused(ram_tx, Function, [Tx | Arguments], Word) end),
    Told;
perform(Base, {pages, {Function, Arguments, Options}, Rest, Writes}) ->
    Call = fun(More) -> guarded(fun() -> apply(ram, Function, Arguments ++ [More]) end) end,
    First = Call(Options),
    Answers = [perform(Base, Write) || Write <- Writes],
    {Pages, Limits} = pages(First, maps:get(limit, Options), Call, next(Options, Rest)),
    {pages, Pages, Limits, Answers};
perform(Base, {Function, Arguments, Options}) ->
    Real = arguments(Base, Function, Arguments) ++ options(Base, Options),
    Answer = guarded(fun() -> answered(Function, Real) end),
    told(Base, Function, Options, Answer).

refused(Module, Function, Arguments, Word) ->
    try ram_load:explained(Module, Function, Arguments) of
        {badarg, #{} = Why} ->
            case string:find(lists:join(" ", maps:values(Why)), Word) of
                nomatch -> {says_nothing_of, Word, Why};
                _ -> badarg_is_explained
            end;
        Other -> Other
    catch
        Class:Reason -> {not_explained, Class, Reason}
    end.

guarded(Do) ->
    try Do()
    catch
        error:Reason -> {raised, Reason};
        Class:Reason -> {raised, Class, Reason}
    end.

%% Every continuation is used twice: it goes on where it did.
pages({raised, _} = Raised, _Limit, _Call, _Next) ->
    {Raised, []};
pages({Page, done}, Limit, _Call, _Next) ->
    {[Page], [Limit]};
pages({Page, Continuation}, Limit, Call, {RestLimit, Options} = Next) ->
    Further = Call(Options#{continuation => Continuation}),
    case {Call(Options#{continuation => Continuation}), Further} of
        {{Same, _}, {Same, _}} ->
            {Pages, Limits} = pages(Further, RestLimit, Call, Next),
            {[Page | Pages], [Limit | Limits]};
        Differ ->
            {{differ, Differ}, []}
    end.

next(Options, infinity) -> {infinity, maps:remove(limit, Options)};
next(Options, Limit) -> {Limit, Options#{limit := Limit}}.

answered(fold, [crash | Options]) ->
    apply(ram, fold, [fun(_Item, _Acc) -> error(crash) end, [] | Options]);
answered(fold, Options) ->
    lists:reverse(apply(ram, fold, [fun(Item, Acc) -> [Item | Acc] end, [] | Options]));
answered(foreach, Options) ->
    put(?MODULE, []),
    ok = apply(ram, foreach, [fun(Item) -> put(?MODULE, [Item | get(?MODULE)]) end | Options]),
    lists:reverse(erase(?MODULE));
answered(Function, Arguments) ->
    apply(ram, Function, Arguments).

%%% Arguments

arguments(Base, cas, [Key, Expected, Value]) ->
    [Key, absolute(Base, Expected), Value];
arguments(_Base, update, [Key, Default, Change]) ->
    [Key, Default, change(Change, fun changed/2)];
arguments(_Base, get_and_update, [Key, Change]) ->
    [Key, change(Change, fun did/2)];
arguments(Base, txn, [If, Then, Else]) ->
    [[condition(Base, Condition) || Condition <- If], Then, Else];
arguments(_Base, transaction, [Steps]) ->
    Runs = counters:new(1, []),
    [fun(Tx) ->
             counters:add(Runs, 1, 1),
             [step(Step, counters:get(Runs, 1), Tx) || Step <- Steps]
     end];
arguments(_Base, _Function, Arguments) ->
    Arguments.

options(_Base, none) -> [];
options(Base, #{at_least := ahead} = Options) ->
    [Options#{at_least := Base + ?AHEAD}];
options(Base, #{expect := Expected} = Options) ->
    [Options#{expect := absolute(Base, Expected)}];
options(_Base, Options) ->
    [Options].

absolute(Base, {rev, Rev}) -> {rev, Base + Rev};
absolute(_Base, Expected) -> Expected.

condition(Base, {Key, rev, Compares, Rev}) -> {Key, rev, Compares, Base + Rev};
condition(Base, {in, Table, {_, _, _, _} = Of}) -> {in, Table, condition(Base, Of)};
condition(_Base, Condition) -> Condition.

%% What the fun does beside, it does in its first runs.
change({outside, Times, {Table, Key}, Value, Change}, Make) ->
    Runs = counters:new(1, []),
    fun(Saw) ->
            counters:add(Runs, 1, 1),
            _ = [ok = ram:put(Key, Value, #{table => Table})
                 || counters:get(Runs, 1) =< Times],
            Make(Change, Saw)
    end;
change(Change, Make) ->
    fun(Saw) -> Make(Change, Saw) end.

changed({set, Value}, _Old) -> Value;
changed(wrap, Old) -> {Old};
changed(crash, _Old) -> error(crash).

did(keep, Saw) -> {keep, {saw, Saw}};
did(delete, Saw) -> {delete, {saw, Saw}};
did({set, Value}, Saw) -> {put, Value, {saw, Saw}};
did(wrap, Saw) -> {put, {Saw}, {saw, Saw}};
did(crash, _Saw) -> error(crash);
did(other, _Saw) -> other.

step({get, Key}, _Run, Tx) -> ram_tx:get(Tx, Key);
step({get, default, Key, Default}, _Run, Tx) -> ram_tx:get(Tx, Key, Default);
step({get, Table, Key, Default}, _Run, Tx) -> ram_tx:get(Tx, Key, Default, #{table => Table});
step({fetch, default, Key}, _Run, Tx) -> ram_tx:fetch(Tx, Key);
step({fetch, Table, Key}, _Run, Tx) -> ram_tx:fetch(Tx, Key, #{table => Table});
step({put, default, Key, Value, Given}, _Run, Tx) when Given =:= #{} -> ram_tx:put(Tx, Key, Value);
step({put, Table, Key, Value, Given}, _Run, Tx) ->
    ram_tx:put(Tx, Key, Value, Given#{table => Table});
step({delete, default, Key}, _Run, Tx) -> ram_tx:delete(Tx, Key);
step({delete, Table, Key}, _Run, Tx) -> ram_tx:delete(Tx, Key, #{table => Table});
step({range, Table, From, To, Options}, _Run, Tx) ->
    ram_tx:range(Tx, From, To, Options#{table => Table});
step({outside, Times, Table, Key, Value}, Run, _Tx) ->
    _ = [ok = ram:put(Key, Value, #{table => Table}) || Run =< Times],
    outside;
step(nested, _Run, _Tx) -> ram:transaction(fun(_) -> ok end);
step({abort, Reason}, _Run, Tx) -> ram_tx:abort(Tx, Reason);
step({raise, error, Reason}, _Run, _Tx) -> error(Reason);
step({raise, throw, Reason}, _Run, _Tx) -> throw(Reason);
step({raise, exit, Reason}, _Run, _Tx) -> exit(Reason).

%%% Answers

told(_Base, _Function, _Options, {raised, {timeout, {ram, _Node}}}) ->
    {raised, timeout};
told(_Base, _Function, _Options, {raised, _} = Raised) ->
    Raised;
told(Base, Function, _Options, {conflict, Current})
  when Function =:= put; Function =:= delete; Function =:= cas ->
    {conflict, current(Base, Current)};
told(Base, cas, _Options, {ok, Rev}) ->
    {ok, Rev - Base};
told(Base, Function, #{return := rev}, {ok, Rev})
  when Function =:= put; Function =:= delete; Function =:= update;
       Function =:= put_many; Function =:= delete_many ->
    {ok, Rev - Base};
told(_Base, ttl, _Options, {ok, Left}) ->
    {ok, ram_model:hours(Left)};
told(Base, lookup, _Options, Current) ->
    current(Base, Current);
told(Base, txn, _Options, {Holds, Results, Rev}) ->
    {Holds, Results, Rev - Base};
told(_Base, info, _Options, #{type := Type, size := Size, bytes := Bytes} = Info)
  when map_size(Info) =:= 3 ->
    {Type, Size, Bytes > 0};
told(_Base, _Function, _Options, Answer) ->
    Answer.

current(_Base, error) ->
    error;
current(Base, {ok, Value, #{rev := Rev, created_rev := Created, version := Version, ttl := Left,
                            owner := Owner} = Meta}) when map_size(Meta) =:= 5 ->
    {ok, Value, #{rev => Rev - Base, created => Created - Base, version => Version,
                  ttl => ram_model:hours(Left), owner => Owner}}.
